"""Records as pages can show them, whatever other programs have written into the log. Pure.

The index takes every line that looks like an execution. Here a field of a wrong type, or a
time that is none, becomes null, so that one odd line cannot take a page away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runner.history.reading.query import Bar, StripBar
from runner.values import parse_instant

Record = Mapping[str, Any]
_ABSURD = 1e15
_TIMES = ("time", "scheduled_for", "started", "ended", "missed_from", "missed_until")
_NUMBERS = ("duration_s", "lateness_s", "missed_count", "attempt", "sequence")
_TEXTS = ("execution", "request", "process", "status", "channel", "message", "output_tail")
_MORE_TEXTS = ("requested_by", "output_file", "group", "follows")


def sane(record: Record) -> dict[str, Any]:
    """Return a record with usable fields; `execution`, `request` and `status` are texts."""
    found = dict(record)
    for name in _TIMES:
        found[name] = _time(found.get(name))
    for name in _NUMBERS:
        found[name] = _number(found.get(name))
    for name in (*_TEXTS, *_MORE_TEXTS):
        value = found.get(name)
        found[name] = value if isinstance(value, str) else None
    for name in ("labels", "context"):
        found[name] = found[name] if isinstance(found.get(name), dict) else {}
    for name in ("execution", "request", "status"):
        found[name] = found[name] or ""
    return found


def sane_all(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Return records with usable fields."""
    return [sane(record) for record in records]


def sane_bars(bars: Iterable[Bar]) -> list[Bar]:
    """Return the bars that have a time, with usable fields."""
    return [_sane_bar(bar) for bar in bars if _time(bar.time) is not None]


def sane_strip(bars: Iterable[StripBar]) -> list[StripBar]:
    """Return the bars of a strip with usable durations."""
    return [StripBar(bar.status, _number(bar.duration_s)) for bar in bars]


def _sane_bar(bar: Bar) -> Bar:
    found = (
        bar.reason if isinstance(bar.reason, str) else None,
        _time(bar.started),
        _number(bar.duration_s),
        _time(bar.missed_from),
        _time(bar.missed_until),
    )
    reason, started, duration_s, missed_from, missed_until = found
    if found == (bar.reason, bar.started, bar.duration_s, bar.missed_from, bar.missed_until):
        return bar
    return bar._replace(
        reason=reason,
        started=started,
        duration_s=duration_s,
        missed_from=missed_from,
        missed_until=missed_until,
    )


def _time(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        parse_instant(value)
    except (ValueError, OverflowError):
        return None
    return value


def _number(value: object) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < _ABSURD else None
