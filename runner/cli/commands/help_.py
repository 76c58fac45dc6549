"""`help`: the documentation, by topic."""

from __future__ import annotations

import sys

import click
from click.shell_completion import CompletionItem

from runner.cli.command_table import COMMANDS
from runner.cli.documentation.topics import TOPICS, section
from runner.cli.output.fitting import terminal_columns
from runner.cli.output.markdown_text import WIDEST, text_of
from runner.cli.output.tables import echo, echo_data


def _complete(
    context: click.Context,  # noqa: ARG001 - click's signature
    parameter: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    return [
        CompletionItem(name, help=topic.summary)
        for name, topic in TOPICS.items()
        if name.startswith(incomplete)
    ]


@click.command("help")
@click.argument("topic", metavar="[TOPIC]", required=False, shell_complete=_complete)
@click.pass_context
def help_command(context: click.Context, topic: str | None) -> None:
    """Show the documentation of TOPIC; without TOPIC, list the topics.

    The name of a command is a topic too. On a terminal, the text appears in a pager.

    \b
    Examples:
      runner help
      runner help cookbook
      runner help schedules
    """
    if topic is None:
        _list_topics()
    elif topic in TOPICS:
        _show(_text(topic))
    elif topic in COMMANDS:
        _show(_command_help(context, topic))
    else:
        raise click.UsageError(_unknown(topic), context)


def _list_topics() -> None:
    width = max(map(len, TOPICS))
    for name, topic in TOPICS.items():
        echo(f"{name.ljust(width)}  {topic.summary}")
    echo(err=True)
    echo("`runner help TOPIC` shows a topic; `runner COMMAND --help` explains a command.", err=True)


def _text(name: str) -> str:
    from runner.resources import document_text

    topic = TOPICS[name]
    text = text_of(
        section(document_text(topic.document), topic.heading),
        terminal_columns(sys.stdout) or WIDEST,
    )
    also = f"\n`runner {name} --help` explains the command.\n" if name in COMMANDS else ""
    return text + also


def _command_help(context: click.Context, name: str) -> str:
    parent = context.parent
    assert parent is not None
    assert isinstance(parent.command, click.Group)
    command = parent.command.get_command(parent, name)
    assert command is not None
    with click.Context(command, info_name=name, parent=parent) as its_context:
        return f"{command.get_help(its_context)}\n"


def _show(text: str) -> None:
    """Print a text; in a pager if stdin and stdout are terminals."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        click.echo_via_pager(text, color=False)
    else:
        echo_data(text)


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, (*TOPICS, *COMMANDS), n=1)
    hint = f"did you mean `runner help {near[0]}`?" if near else "`runner help` lists the topics"
    return f"there is no topic {name!r}; {hint}"
