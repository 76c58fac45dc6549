"""How things look: tables, local times, colours, JSON lines."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import click

from runner.monitor.names import name_in
from runner.timing.zones import zone_named
from runner.values import instant_text, neutral

# Nobody can guess it, so nothing that is printed can hold it.
_MARK = f"\ufdd0{os.urandom(8).hex()}"
_CODES = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36"}
COLOURS = {
    "success": "green",
    "processing": "cyan",
    "scheduled": "green",
    "error": "red",
    "invalid": "red",
    "killed": "magenta",
    "misfired": "yellow",
    "system_restart": "yellow",
    "skipped": "yellow",
    "unscheduled": "yellow",
    "drifted": "yellow",
    "complete": "blue",
}


def who(record: Mapping[str, Any]) -> str:
    """Name the execution of a record: its request or `group › member`, and the attempt
    if it is not the first.
    """
    name = name_in(record)
    attempt = record.get("attempt") or 1
    return f"{name} (attempt {attempt})" if attempt > 1 else name


def short_commit(revision: str | None) -> str | None:
    """Return a commit as people read it, its mark kept; what is no commit's id as it is."""
    commit, mark, _ = (revision or "").partition("-dirty")
    is_id = len(commit) in (40, 64) and set(commit) <= set("0123456789abcdef")
    return f"{commit[:12]}{mark}" if is_id else revision


def coloured(status: str) -> str:
    """Return a status in its colour."""
    return style(status, fg=COLOURS[status]) if status in COLOURS else status


def style(text: str, *, fg: str | None = None, bold: bool = False) -> str:
    """Return a text to be shown in a colour, or bold.

    It has marks, which nobody outside can know, instead of the control characters:
    those `echo` puts in, so that it can take all others for foreign ones.
    """
    codes = [*("1" for _ in range(bold)), *(_CODES[colour] for colour in (fg,) if colour)]
    return "".join(f"{_MARK}{code}m" for code in codes) + f"{text}{_MARK}0m"


def unstyle(text: str) -> str:
    """Return a text without its marks."""
    return _styles().sub("", text)


def shown_line(text: str, *, is_coloured: bool) -> str:
    """Return a line as it can be printed: neutral but for its own colours, and without
    those unless it is coloured.
    """
    pieces = _styles().split(text)
    pieces[::2] = map(neutral, pieces[::2])
    pieces[1::2] = (f"\x1b[{code}m" if is_coloured else "" for code in pieces[1::2])
    return "".join(pieces)


def echo(line: str = "", *, err: bool = False) -> None:
    """Print one line, the only way in which this program does; nothing in it can steer a terminal.

    Whatever newlines are in it are shown as such. Colours are only for a terminal, and
    never with NO_COLOR (no-color.org).
    """
    click.echo(
        shown_line(line, is_coloured=True),
        err=err,
        color=False if os.environ.get("NO_COLOR") else None,
    )


def echo_error(text: str) -> None:
    """Print to stderr why a command fails; what follows its first line is indented."""
    first, *more = text.split("\n")
    echo(f"runner: {first}", err=True)
    for line in more:
        echo(f"  {line}", err=True)


def echo_data(text: str) -> None:
    """Print a text of several lines to stdout, its last newline included: as it is,
    unless to a terminal.
    """
    click.echo(neutral_lines(text) if sys.stdout.isatty() else text, nl=False)


def neutral_lines(text: str) -> str:
    """Return a text of several lines that cannot steer a terminal, but by its newlines and tabs."""
    return re.sub("[^\n\t]+", lambda found: neutral(found[0]), text)


def local_text(instant: datetime | None, zone: str) -> str:
    """Return an instant as wall time in `zone` with its UTC offset, to the second; "-" for none."""
    if instant is None:
        return "-"
    local = instant.astimezone(zone_named(zone))
    return f"{local:%Y-%m-%d %H:%M:%S}{_offset_text(local)}"


def json_line(item: Mapping[str, Any]) -> str:
    """Return an item as one line of JSON; instants as in the monitor log."""
    return json_text(item)


def json_text(value: object, *, indent: int | None = None) -> str:
    """Return a value as JSON, in which what could steer a terminal is escaped: it means the same."""
    text = json.dumps(value, ensure_ascii=False, default=_plain, indent=indent)
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text
    )


def print_items(
    items: Iterable[Mapping[str, Any]],
    output: str,
    *,
    columns: Sequence[str],
    cells: Callable[[Mapping[str, Any]], Sequence[str]],
) -> None:
    """Print items as JSON lines, or as a table with a head of `columns`."""
    if output == "json":
        for item in items:
            echo(json_line(item))
        return
    print_table(columns, [cells(item) for item in items])


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns as wide as they need; no head and nothing at all for no rows."""
    if not rows:
        return
    lines = [[style(name, bold=True) for name in columns], *rows]
    widths = [max(width_of(line[column]) for line in lines) for column in range(len(columns))]
    for line in lines:
        padded = [
            cell + " " * (width - width_of(cell)) for cell, width in zip(line, widths, strict=True)
        ]
        echo("  ".join(padded).rstrip())


def width_of(cell: str) -> int:
    """Return how many characters a cell has when it is shown."""
    return len(neutral(unstyle(cell)))


@cache
def _styles() -> re.Pattern[str]:
    return re.compile(rf"{_MARK}(\d+)m")


def _offset_text(local: datetime) -> str:
    text = local.strftime("%z")
    return f"{text[:3]}:{text[3:]}"


def _plain(value: object) -> object:
    return instant_text(value) if isinstance(value, datetime) else str(value)
