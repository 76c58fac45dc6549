"""The commands: the module that implements each, and its line in `runner --help`. Pure."""

from __future__ import annotations

COMMANDS = {
    "start": ("control.start", "Run the process requests of a jobs folder in the foreground."),
    "init": ("authoring.init", "Create a jobs folder with commented examples."),
    "validate": ("authoring.validate", "Check every file; report each problem and how to fix it."),
    "plan": ("authoring.plan", "Show what an edit would add, remove, change and run at once."),
    "ls": ("views.ls", "List the requests with their status and next fire."),
    "show": ("views.show", "Show everything about one request."),
    "next": ("views.next_", "List upcoming fires of all requests, or of the named ones."),
    "status": ("views.status", "Show whether a runner is alive, what it runs, and what is next."),
    "schedule": ("control.buttons", "Press Schedule: let unscheduled requests fire again."),
    "unschedule": (
        "control.buttons",
        "Press Unschedule: stop future fires, not running executions.",
    ),
    "reschedule": (
        "control.buttons",
        "Press Reschedule: rerun a one-time request, restart a schedule.",
    ),
    "pause": ("control.pause", "Stop the fires of all requests, or of some, for a while."),
    "resume": ("control.pause", "End the pauses of all requests, or of some."),
    "backfill": ("control.backfill", "Run the fires of a past span that have no success."),
    "exec": ("control.exec_", "Run a request now and show its output."),
    "kill": ("control.buttons", "Stop running executions, by request or by id."),
    "monitor": ("views.monitor", "Show the Process Monitor: past and running executions."),
    "log": ("views.log", "Show the output of an execution."),
    "notify": ("control.notify", "Send a test message to a receiver of runner.yaml."),
    "alerts": ("control.alerts", "List what is wrong now, or silence it for a while."),
    "web": ("control.web", "Serve the Process Monitor as a page, with an API and metrics."),
    "token": ("control.token", "Manage the tokens that log in to the page."),
    "metrics": ("views.metrics", "Print metrics for Prometheus, as the page serves them."),
    "work": ("control.work", "Run executions of a fleet on this machine."),
    "drain": ("control.work", "Let a worker of a fleet finish and take nothing new."),
    "store": ("control.store", "Create a store in PostgreSQL, or move one there."),
    "reload": ("control.buttons", "Make the runner read its jobs folder now."),
    "restart": ("control.restart", "Let the installed program take over; executions go on."),
    "stop": ("control.stop", "Stop the runner, with its executions or without them."),
    "doctor": ("doctor", "Check the runner's environment and suggest fixes."),
    "schema": ("authoring.schema", "Print a JSON schema for editors and other tools."),
    "explain": ("authoring.explain", "Explain when something fires, or why it did not."),
    "simulate": ("authoring.simulate", "Forecast a time span: fires, overlaps, busy hours."),
    "calendar": ("authoring.calendar", "Write the public holidays of a country as dates."),
    "import": ("authoring.import_", "Import requests from another scheduler's files."),
    "help": ("help_", "Show the documentation, by topic."),
}
"""Per command: its module in `runner.cli.commands`, and its line in `runner --help`."""
