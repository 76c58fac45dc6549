"""The commands: the module of each in `cli.commands`, and its line in `runner --help`. Pure."""

from __future__ import annotations

COMMANDS = {
    "start": ("start", "Run the process requests of a jobs folder, in the foreground."),
    "init": ("files", "Make a jobs folder with commented examples."),
    "validate": ("files", "Tell all problems of all files, with what would be right."),
    "plan": ("plan", "Tell what a change would add, remove, change and run at once."),
    "ls": ("ls", "List the requests, how they stand, when they fire next."),
    "show": ("show", "Tell everything about one request."),
    "next": ("show", "List the coming fires of all requests, or of some."),
    "status": ("status", "Tell whether a runner is alive, what runs, waits and comes."),
    "schedule": ("buttons", "Press Schedule: fire again from now on."),
    "unschedule": ("buttons", "Press Unschedule: stop future fires; what runs goes on."),
    "reschedule": (
        "buttons",
        "Press Reschedule: run a one-time request again, plan a schedule afresh.",
    ),
    "exec": ("exec_", "Run a request now, and show its output."),
    "kill": ("buttons", "Stop what runs, by request or execution."),
    "monitor": ("monitor", "Show the Process Monitor: what ran, newest last."),
    "log": ("monitor", "Show the output of an execution."),
    "reload": ("buttons", "Have the runner read its jobs folder now."),
    "doctor": ("doctor", "Look at all that a runner needs, with advice."),
    "schema": ("files", "Print a JSON schema, for editors and other tools."),
    "explain": ("explain", "Tell in plain English when something fires, or why it did not run."),
    "simulate": ("simulate", "Tell what a span of time would bring: fires, overlaps, busy hours."),
    "import": ("import_", "Bring over requests from another scheduler's files."),
}
"""Each command's module in this package, and its line in `runner --help`."""
