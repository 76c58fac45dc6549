"""Executions as lines of the Process Monitor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runner.cli.output.fitting import id_text, moment_text, narrowed, terminal_columns
from runner.cli.output.tables import coloured
from runner.lifecycle import ExecutionStatus
from runner.monitor.names import name_in, path_of, who
from runner.values import clock_text, parse_instant

BRIEF = ("STARTED", "STATUS", "DURATION", "REQUEST", "CHANNEL", "EXECUTION", "MESSAGE")
"""The monitor's columns. On a terminal CHANNEL is left out, for lack of room."""
ORIGINAL = (
    "PROCESS",
    "GROUP",
    "USER",
    "STARTED",
    "ENDED",
    "DURATION",
    "STATUS",
    "CHANNEL",
    "EXECUTION",
    "RESULT",
)
"""The columns of Openbravo's Process Monitor, plus the execution's id."""
WIDTHS = {
    "STARTED": 25,
    "ENDED": 25,
    "STATUS": 14,
    "DURATION": 12,
    "REQUEST": 24,
    "CHANNEL": 17,
    "EXECUTION": 36,
    "PROCESS": 24,
    "GROUP": 24,
    "USER": 12,
}
"""Column widths in characters for `monitor -f`, which prints before it knows the content.
The last column is unbounded.
"""
_NARROW = {
    "STARTED": 11,
    "STATUS": 10,
    "DURATION": 12,
    "REQUEST": 17,
    "EXECUTION": 8,
    "MESSAGE": 16,
}
_UNBOUNDED = 10_000


def columns_for(*, is_wide: bool) -> tuple[str, ...]:
    """Return the monitor's columns for the current stdout."""
    if is_wide:
        return ORIGINAL
    return (
        BRIEF if terminal_columns() is None else tuple(name for name in BRIEF if name != "CHANNEL")
    )


def fixed_widths(columns: tuple[str, ...], *, is_wide: bool) -> list[int]:
    """Return a width for each column before its content is known, so that a line fits
    the terminal.
    """
    room = None if is_wide else terminal_columns()
    if room is None:
        return [*(WIDTHS[name] for name in columns[:-1]), _UNBOUNDED]
    widths = [_NARROW[name] for name in columns]
    widths[-1] = max(widths[-1], room - sum(widths[:-1]) - 2 * (len(widths) - 1))
    return narrowed(widths, range(len(widths)), room)


def cells_of(record: Mapping[str, Any], columns: tuple[str, ...], zone: str) -> list[str]:
    """Return the cells of an execution's record, one per column."""
    return [_CELLS[name](record, zone) for name in columns]


def _started(record: Mapping[str, Any], zone: str) -> str:
    begun = record.get("started") or record.get("scheduled_for")
    return moment_text(parse_instant(begun) if begun else None, zone)


def _ended(record: Mapping[str, Any], zone: str) -> str:
    ended = record.get("ended")
    return moment_text(parse_instant(ended) if ended else None, zone)


def _duration(record: Mapping[str, Any], _zone: str) -> str:
    return clock_text(record["duration_s"]) if record.get("duration_s") is not None else "-"


def _result(record: Mapping[str, Any], _zone: str) -> str:
    code = record.get("exit_code")
    return str(record.get("message") or ("-" if code is None else f"exit code {code}"))


def _process(record: Mapping[str, Any], _zone: str) -> str:
    return (
        path_of(name_in(record)).rpartition("/")[2]
        if record.get("group")
        else str(record.get("process"))
    )


_CELLS: Mapping[str, Callable[[Mapping[str, Any], str], str]] = {
    "STARTED": _started,
    "ENDED": _ended,
    "STATUS": lambda record, _: coloured(str(record.get("status") or ExecutionStatus.PROCESSING)),
    "DURATION": _duration,
    "REQUEST": lambda record, _: who(record),
    "PROCESS": _process,
    "GROUP": lambda record, _: str(record["request"]) if record.get("group") else "-",
    "USER": lambda record, _: str(record.get("requested_by") or "-"),
    "CHANNEL": lambda record, _: str(record.get("channel")),
    "EXECUTION": lambda record, _: id_text(str(record.get("execution"))),
    "MESSAGE": lambda record, _: str(record.get("message") or ""),
    "RESULT": _result,
}
