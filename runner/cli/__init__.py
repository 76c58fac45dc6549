"""The command line: the only place that prints. Each family of commands is a module, imported when it is called."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from runner.errors import RunnerError

_COMMANDS = {
    "start": ("running", "Run the process requests of a jobs folder, in the foreground."),
    "init": ("files", "Make a jobs folder with commented examples."),
    "validate": ("files", "Tell all problems of all files, with what would be right."),
    "ls": ("requests", "List the requests, how they stand, when they fire next."),
    "show": ("requests", "Tell everything about one request."),
    "next": ("requests", "List the coming fires of all requests, or of some."),
    "status": ("status", "Tell whether a runner is alive, what runs, waits and comes."),
    "schedule": ("buttons", "Press Schedule: fire again from now on."),
    "unschedule": ("buttons", "Press Unschedule: stop future fires; what runs goes on."),
    "reschedule": ("buttons", "Press Reschedule: run a one-time request again, plan a schedule afresh."),
    "exec": ("executing", "Run a request now, and show its output."),
    "kill": ("buttons", "Stop what runs, by request or execution."),
    "monitor": ("monitoring", "Show the Process Monitor: what ran, newest last."),
    "log": ("monitoring", "Show the output of an execution."),
    "reload": ("buttons", "Have the runner read its jobs folder now."),
    "schema": ("files", "Print a JSON schema, for editors and other tools."),
    "explain": ("explaining", "Tell in plain English when something fires, or why it did not run."),
    "simulate": ("simulating", "Tell what a span of time would bring: fires, overlaps, busy hours."),
}
"""Each command's module in this package, and its line in `runner --help`."""


class _LazyGroup(click.Group):
    """Imports the module of a command when it is called: `runner --help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        place, _ = _COMMANDS[cmd_name]
        command = getattr(import_module(f"runner.cli.{place}"), f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in _COMMANDS.items()])


_EPILOG = """\b
Examples:
  runner init demo && cd demo && runner start
  runner validate
  runner next -n 5
  runner monitor -f

Exit codes: 0 done, 1 failed or invalid, 2 usage, 4 no runner reachable.
`exec` passes the child's exit code on; 124 timeout, 125 refused or not started.
"""


@click.group(cls=_LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="runner", prog_name="runner", message="%(prog)s %(version)s")
def cli() -> None:
    """Run background processes that are declared as YAML files, and log each execution as a line of JSON."""


def main() -> None:
    """Run the command line; what a user can cause ends in a sentence on stderr and an exit code, never a traceback."""
    try:
        cli.main(prog_name="runner", standalone_mode=True)
    except RunnerError as error:
        click.echo(f"runner: {error}", err=True)
        sys.exit(error.exit_code)
