"""What fits the width of a terminal: short times and ids, narrow columns. A pipe or a
file gets everything in full.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from shutil import get_terminal_size
from typing import TextIO

from runner.cli.output.tables import echo, local_text, style, unstyle, width_of
from runner.monitor.names import short_id
from runner.timing.zones import zone_named
from runner.values import neutral

_GAP = 2
_SHORT = 14  # a status, a duration, a time: of no use if cut
_LEAST = 4


def terminal_columns(stream: TextIO | None = None) -> int | None:
    """Return the width of the terminal that a stream (stdout by default) is shown on;
    None if there is none.
    """
    return get_terminal_size().columns if (stream or sys.stdout).isatty() else None


def print_fitted(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, optional: Collection[str] = ()
) -> None:
    """Print rows in columns under a head; nothing at all for no rows.

    A terminal that is too narrow shows no `optional` columns, first those named first,
    and cuts the widest others.
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
    for line in lines:
        echo(padded([line[column] for column in shown], [widths[column] for column in shown]))


def fits(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether nothing would be cut: there is no terminal, or it is wide enough."""
    room = terminal_columns()
    return room is None or _total(_widths([columns, *rows])) <= room


def narrowed(widths: Sequence[int], shown: Sequence[int], room: int) -> list[int]:
    """Return the widths with which the shown columns fit: the widest lose most, short
    ones only if nothing else helps.

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
    """Return a line of cells, each cut or padded to its width."""
    return (" " * _GAP).join(map(_fitted, cells, widths)).rstrip()


def cut(text: str, width: int) -> str:
    """Return a text that is at most `width` long; one that was longer ends in an ellipsis.

    >>> cut("posted 120 documents", 10)
    'posted 12…'
    """
    return text if len(text) <= width else f"{text[: max(width - 1, 0)]}…"


def moment_text(instant: datetime | None, zone: str) -> str:
    """Return an instant in full, or on a terminal in short: the time of today, or the
    date, with the year if needed.
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
    """Return an execution's id in full, or on a terminal its end."""
    return execution if terminal_columns() is None else short_id(execution)


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    """Return the width of each column of lines, of which there is at least one."""
    return [max(map(width_of, cells)) for cells in zip(*lines, strict=True)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _fitted(cell: str, width: int) -> str:
    length = width_of(cell)
    return cell + " " * (width - length) if length <= width else cut(neutral(unstyle(cell)), width)
