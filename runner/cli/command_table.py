"""The commands: the module that implements each, and its line in `runner --help`. Pure."""

from __future__ import annotations

COMMANDS = {
    "start": ("start", "Run the process requests of a jobs folder in the foreground."),
    "init": ("files", "Create a jobs folder with commented examples."),
    "validate": ("files", "Check every file; report each problem and how to fix it."),
    "plan": ("plan", "Show what an edit would add, remove, change and run at once."),
    "ls": ("ls", "List the requests with their status and next fire."),
    "show": ("show", "Show everything about one request."),
    "next": ("next_", "List upcoming fires of all requests, or of the named ones."),
    "status": ("status", "Show whether a runner is alive, what it runs, and what is next."),
    "schedule": ("buttons", "Press Schedule: let unscheduled requests fire again."),
    "unschedule": ("buttons", "Press Unschedule: stop future fires, not running executions."),
    "reschedule": (
        "buttons",
        "Press Reschedule: rerun a one-time request, restart a schedule.",
    ),
    "exec": ("exec_", "Run a request now and show its output."),
    "kill": ("buttons", "Stop running executions, by request or by id."),
    "monitor": ("monitor", "Show the Process Monitor: past and running executions."),
    "log": ("log", "Show the output of an execution."),
    "reload": ("buttons", "Make the runner read its jobs folder now."),
    "doctor": ("doctor", "Check the runner's environment and suggest fixes."),
    "schema": ("files", "Print a JSON schema for editors and other tools."),
    "explain": ("explain", "Explain when something fires, or why it did not."),
    "simulate": ("simulate", "Forecast a time span: fires, overlaps, busy hours."),
    "import": ("import_", "Import requests from another scheduler's files."),
    "help": ("help_", "Show the documentation, by topic."),
}
"""Per command: its module in `runner.cli.commands`, and its line in `runner --help`."""
