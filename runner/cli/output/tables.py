"""Tables, local times, colours, JSON lines, and the one function that prints."""

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

from runner.lifecycle import status_words
from runner.values import instant_text, neutral

# Random, so that no foreign text can contain it and fake a colour.
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


def coloured(status: str) -> str:
    """Return a status in its colour, in the words of `status_words`."""
    words = status_words(status)
    return style(words, fg=COLOURS[status]) if status in COLOURS else words


def style(text: str, *, fg: str | None = None, bold: bool = False) -> str:
    """Return a text that `echo` shows in a colour or bold.

    The result contains random marks instead of control characters. `echo` escapes every
    control character as foreign, and turns the marks into its own.
    """
    codes = [*("1" for _ in range(bold)), *(_CODES[colour] for colour in (fg,) if colour)]
    return "".join(f"{_MARK}{code}m" for code in codes) + f"{text}{_MARK}0m"


def unstyle(text: str) -> str:
    """Return a text without its style marks."""
    return _styles().sub("", text) if _MARK in text else text


def shown_line(text: str, *, is_coloured: bool) -> str:
    """Return a printable line: its style marks as colours if `is_coloured`, all other
    control characters escaped.
    """
    if _MARK not in text:
        return neutral(text)
    # re.split with one group alternates: text, code, text, code, ..., text.
    pieces = _styles().split(text)
    pieces[::2] = map(neutral, pieces[::2])
    pieces[1::2] = (f"\x1b[{code}m" if is_coloured else "" for code in pieces[1::2])
    return "".join(pieces)


def echo(line: str = "", *, err: bool = False) -> None:
    """Print one line. The program prints text in no other way, so no text can control a
    terminal.

    Newlines within the line are escaped. Colours appear only on a terminal, and never
    with NO_COLOR (no-color.org).
    """
    click.echo(
        shown_line(line, is_coloured=True),
        err=err,
        color=False if os.environ.get("NO_COLOR") else None,
    )


def echo_all(lines: Iterable[str]) -> None:
    """Print lines as `echo` does, at once: faster, for many."""
    click.echo(
        "\n".join(shown_line(line, is_coloured=True) for line in lines),
        color=False if os.environ.get("NO_COLOR") else None,
    )


def echo_error(text: str) -> None:
    """Print to stderr why a command fails; lines after the first are indented."""
    first, *more = text.split("\n")
    echo(f"runner: {first}", err=True)
    for line in more:
        echo(f"  {line}", err=True)


def echo_data(text: str) -> None:
    """Print a text of several lines, its final newline included, to stdout. It is
    escaped only on a terminal.
    """
    click.echo(neutral_lines(text) if sys.stdout.isatty() else text, nl=False)


def neutral_lines(text: str) -> str:
    """Return a text of several lines with its control characters escaped, except
    newlines and tabs.
    """
    return re.sub("[^\n\t]+", lambda found: neutral(found[0]), text)


def json_line(item: Mapping[str, Any]) -> str:
    """Return an item as one line of JSON; instants are written as in the monitor log."""
    return json_text(item)


def json_text(value: object, *, indent: int | None = None) -> str:
    """Return a value as JSON whose unprintable characters are escaped; its meaning is unchanged."""
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
    """Print items as JSON lines, or as a table with the heading `columns`."""
    if output == "json":
        for item in items:
            echo(json_line(item))
        return
    print_table(columns, [cells(item) for item in items])


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns as wide as their content; print nothing if there are no rows."""
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
    """Return the number of characters that a cell shows."""
    if cell.isascii() and cell.isprintable():  # nearly every cell
        return len(cell)
    return len(neutral(unstyle(cell)))


@cache
def _styles() -> re.Pattern[str]:
    return re.compile(rf"{_MARK}(\d+)m")


def _plain(value: object) -> object:
    return instant_text(value) if isinstance(value, datetime) else str(value)
