"""The click group of all commands, with suggestions for unknown ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from runner import __version__
from runner.cli.command_table import COMMANDS
from runner.system.garbage_collection import objects_frozen
from runner.values import neutral

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Command names of other programs (cron, systemd, docker, kubectl), and ours.
_SYNONYMS = {
    **dict.fromkeys(("list", "jobs", "tasks"), "ls"),
    **dict.fromkeys(("run", "trigger", "fire"), "exec"),
    **dict.fromkeys(("logs", "output", "tail"), "log"),
    **dict.fromkeys(("history", "runs"), "monitor"),
    **dict.fromkeys(("check", "lint", "test"), "validate"),
    **dict.fromkeys(("disable",), "unschedule"),
    **dict.fromkeys(("suspend", "hold", "freeze"), "pause"),
    **dict.fromkeys(("unpause", "continue", "unfreeze"), "resume"),
    **dict.fromkeys(("enable",), "schedule"),
    **dict.fromkeys(("serve", "daemon"), "start"),
    **dict.fromkeys(("ps", "top"), "status"),
    **dict.fromkeys(("diff",), "plan"),
    **dict.fromkeys(("describe", "get"), "show"),
}


class _LazyGroup(click.Group):
    """Imports a command's module only when that command is called, so no command pays
    for another's imports.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        place, _ = COMMANDS[cmd_name]
        with objects_frozen():
            command = getattr(import_module(f"runner.cli.commands.{place}"), f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # During completion (resilient_parsing) click expects no error for unknown words.
        name = args[0]
        if name in COMMANDS or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        import difflib

        near = (
            [_SYNONYMS[name]]
            if name in _SYNONYMS
            else difflib.get_close_matches(name, COMMANDS, n=1)
        )
        hint = f"did you mean `runner {near[0]}`?" if near else "`runner --help` lists all commands"
        raise click.UsageError(f"there is no command {name!r}; {hint}", ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        named = (
            (name, words) for name, (_, words) in COMMANDS.items() if name.startswith(incomplete)
        )
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=words) for name, words in named), *options]

    def make_context(self, *arguments: Any, **named: Any) -> click.Context:
        with _neutral_errors():
            return super().make_context(*arguments, **named)

    def invoke(self, ctx: click.Context) -> Any:
        with _neutral_errors():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])


@contextmanager
def _neutral_errors() -> Iterator[None]:
    """Escape control characters in click's errors, which quote the caller's arguments."""
    try:
        yield
    except (
        click.exceptions.NoArgsIsHelpError
    ):  # its message is our own help text, whose newlines must stay
        raise
    except click.ClickException as error:
        error.message = neutral(error.message)  # type: ignore[misc]  # click formats it when it prints the error
        raise


def _print_version(context: click.Context, _: click.Parameter, is_wanted: bool) -> None:
    if not is_wanted or context.resilient_parsing:
        return
    from runner.cli.output.tables import echo
    from runner.installation import summary

    echo(f"runner {__version__}")
    echo(summary())
    context.exit()


_EPILOG = """\b
Examples:
  runner init demo && cd demo && runner start
  runner validate
  runner next -n 5
  runner monitor -f

Exit codes: 0 done, 1 failed or invalid, 2 usage, 3 plan differs, 4 no runner reachable.
`exec` returns the exit code of the process; 124 timeout, 125 skipped or not started.
"""


@click.group(
    cls=_LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Run background processes declared as YAML files, and log each execution as a line of JSON."""
