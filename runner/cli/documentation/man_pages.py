"""The manual pages, written from the commands as click knows them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc

import click

from runner import RELEASED, __version__
from runner.cli.command_table import COMMANDS
from runner.cli.group import cli

_SPECIAL = {
    "\\": "\\e",
    "-": "\\-",
    "`": "\\(ga",
    "'": "\\(aq",
    "^": "\\(ha",
    "~": "\\(ti",
}
"""Characters that roff reads or prints as something else."""
_UNWRAPPED = "\b"
"""click's mark, on a line of its own, for a paragraph whose line breaks stay."""


def man_pages() -> dict[str, str]:
    """Return the pages by file name: runner.1, and one for each command."""
    root = click.Context(cli, info_name="runner", **cli.context_settings)
    pages = {"runner.1": _page(root, "run background processes declared as YAML files")}
    for name, (_, summary) in COMMANDS.items():
        command = cli.get_command(root, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=root)
        pages[f"runner-{name}.1"] = _page(context, summary)
    return pages


def _page(context: click.Context, summary: str) -> str:
    name = context.command_path.replace(" ", "-")
    usage = " ".join(context.command.collect_usage_pieces(context))
    lines = [
        f'.TH "{_roff(name.upper())}" "1" "{RELEASED:%Y-%m-%d}" "runner {__version__}" "Runner"',
        ".SH NAME",
        f"{_roff(name)} \\- {_roff(summary.removesuffix('.'))}",
        ".SH SYNOPSIS",
        f"\\fB{_roff(context.command_path)}\\fR {_roff(usage)}",
        ".SH DESCRIPTION",
        *_paragraphs(context.command.help or summary),
        *_commands(context),
        *_options(context),
        *_notes(context),
        ".SH SEE ALSO",
        *_related(name),
    ]
    return "\n".join(lines) + "\n"


def _commands(context: click.Context) -> Iterator[str]:
    if context.command is cli:
        yield ".SH COMMANDS"
        for name, (_, summary) in COMMANDS.items():
            yield from (".TP", f"\\fBrunner\\-{name}\\fR(1)", _roff(summary))


def _options(context: click.Context) -> Iterator[str]:
    yield ".SH OPTIONS"
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record is not None:
            yield from (".TP", f"\\fB{_roff(record[0])}\\fR", _roff(record[1]))


def _notes(context: click.Context) -> Iterator[str]:
    """Yield what stands below a command's help: examples, exit codes."""
    if context.command.epilog:
        yield ".SH NOTES"
        yield from _paragraphs(context.command.epilog)


def _related(name: str) -> Iterator[str]:
    if name != "runner":
        yield "\\fBrunner\\fR(1)"
        yield ".PP"
    yield _roff("`runner help` lists the topics of the documentation.")


def _paragraphs(text: str) -> Iterator[str]:
    """Yield a help text in roff."""
    for number, paragraph in enumerate(re.split(r"\n{2,}", cleandoc(text).strip("\n"))):
        if number:
            yield ".PP"
        mark, _, rest = paragraph.partition("\n")
        if mark.strip(" ") == _UNWRAPPED:
            yield from (".nf", *map(_roff, rest.split("\n")), ".fi")
        else:
            yield _roff(" ".join(paragraph.split()))


def _roff(text: str) -> str:
    """Return a line of text that roff prints as it is."""
    shown = "".join(_SPECIAL.get(each) or _character(each) for each in text)
    return f"\\&{shown}" if shown.startswith((".", "\\(aq")) else shown


def _character(character: str) -> str:
    return character if character.isascii() else f"\\[u{ord(character):04X}]"
