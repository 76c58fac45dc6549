"""Output that fits the width of a terminal: short times and ids, narrow columns. A pipe
or a file receives everything in full.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TextIO

from runner.cli.output.tables import echo_all, style, unstyle, width_of
from runner.monitor.names import short_id
from runner.timing.local_times import local_text
from runner.timing.zones import zone_named
from runner.values import neutral

_GAP = 2
_SHORT = 20  # a status, a time, a result with its time, a usual name: useless when cut
_LEAST = 4  # characters that a long column keeps


def terminal_columns(stream: TextIO | None = None) -> int | None:
    """Return the terminal width of a stream (stdout by default), or None if it is not a
    terminal.
    """
    if not (stream or sys.stdout).isatty():
        return None
    from shutil import get_terminal_size  # not needed in a pipe

    return get_terminal_size().columns


def print_fitted(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, optional: Collection[str] = ()
) -> None:
    """Print rows under a heading; print nothing if there are no rows.

    On a terminal that is too narrow, `optional` columns are dropped in the order given,
    then the widest other columns are cut.
    """
    if not rows:
        return
    lines = [[style(name, bold=True) for name in columns], *map(list, rows)]
    widths = _widths(lines)
    shown = list(range(len(columns)))
    if (room := terminal_columns()) is not None:
        for name in optional:
            if _total([widths[column] for column in shown]) > room and name in columns:
                shown.remove(columns.index(name))
        widths = narrowed(widths, shown, room)
    room_of = [widths[column] for column in shown]
    echo_all(padded([line[column] for column in shown], room_of) for line in lines)


def fits(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the rows fit without cutting. They always fit a pipe or a file."""
    room = terminal_columns()
    return room is None or _total(_widths([columns, *rows])) <= room


def narrowed(widths: Sequence[int], shown: Sequence[int], room: int) -> list[int]:
    """Return column widths with which the shown columns fit into `room` characters.

    The widest columns lose most. Short ones lose only if nothing else helps.

    >>> narrowed([12, 30, 12, 40], [0, 1, 2, 3], 60)
    [12, 15, 12, 15]
    """
    narrow = list(widths)
    for _ in range(_total([widths[column] for column in shown]) - room):
        long = [column for column in shown if widths[column] > _SHORT and narrow[column] > _LEAST]
        widest = max(long or shown, key=lambda column: (narrow[column], column))
        narrow[widest] = max(narrow[widest] - 1, 1)
    return narrow


def padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return the cells as one line, each cut or padded to its width."""
    return (" " * _GAP).join(map(_fitted, cells, widths)).rstrip()


def cut(text: str, width: int) -> str:
    """Return a text of at most `width` characters; a longer one ends in an ellipsis.

    >>> cut("posted 120 documents", 10)
    'posted 12…'
    """
    return text if len(text) <= width else f"{text[: max(width - 1, 0)]}…"


def moment_text(instant: datetime | None, zone: str) -> str:
    """Return an instant in full, or short on a terminal: a time for today, else a date,
    with the year if it is another one.
    """
    if instant is None or terminal_columns() is None:
        return local_text(instant, zone)
    local, today = (
        instant.astimezone(zone_named(zone)),
        datetime.now(UTC).astimezone(zone_named(zone)),
    )
    if local.date() == today.date():
        return f"{local:%H:%M:%S}"
    return f"{local:%m-%d %H:%M}" if local.year == today.year else f"{local:%Y-%m-%d}"


def id_text(execution: str) -> str:
    """Return an execution's id in full, or its last part on a terminal."""
    return execution if terminal_columns() is None else short_id(execution)


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    """Return the width of each column. There is at least one line."""
    return [max(map(width_of, cells)) for cells in zip(*lines, strict=True)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _fitted(cell: str, width: int) -> str:
    length = width_of(cell)
    return cell + " " * (width - length) if length <= width else cut(neutral(unstyle(cell)), width)
