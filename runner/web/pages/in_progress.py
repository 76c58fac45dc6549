"""The executions in progress against their usual durations. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from runner.monitor.names import who
from runner.values import parse_instant
from runner.web.pages.drawing.progress import bar
from runner.web.pages.wording import rough_duration, short_duration

Record = Mapping[str, Any]
_LONG = 1.5
"""From this many usual durations on, a running execution stands out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An execution in progress against its usual duration."""

    execution: str
    request: str
    name: str
    started: datetime
    usually: str | None
    progress: Markup | None
    left: str | None
    """About how long it will still run; None if that is unknown or over."""


def running(
    records: Iterable[Record], usual_s: Mapping[str, float], now: datetime
) -> Iterator[Running]:
    """Yield the executions in progress, the longest first. Members are part of their group."""
    wholes = [record for record in records if not record.get("group")]
    for record in sorted(wholes, key=lambda each: str(each["started"])):
        started, usually_s = parse_instant(record["started"]), usual_s.get(record["request"])
        elapsed_s = max((now - started).total_seconds(), 0.0)
        share = elapsed_s / usually_s if usually_s else None
        words = None if usually_s is None else f"usually {short_duration(usually_s)}"
        yield Running(
            execution=record["execution"],
            request=record["request"],
            name=who(record),
            started=started,
            usually=words,
            progress=None
            if share is None
            else bar("over" if share > _LONG else "running", 0, share, f"{share:.0%} of usual"),
            left=_left(usually_s, elapsed_s),
        )


def _left(usually_s: float | None, elapsed_s: float) -> str | None:
    if usually_s is None or elapsed_s >= usually_s:
        return None
    return rough_duration(usually_s - elapsed_s)
