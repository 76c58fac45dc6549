"""The alerts of a request that a fire belongs to, from their records. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runner.values import parse_instant

_OPENED = "alert.opened"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAlert:
    """An alert from its opening to its end; `until` is None while it is open."""

    check: str
    since: datetime
    until: datetime | None
    message: str


def alerts_at(
    records: Iterable[Mapping[str, Any]], at: datetime, executions: Collection[str]
) -> tuple[PastAlert, ...]:
    """Return the alerts that were open at an instant, or that the `executions` opened.

    `records` are those of the openings and ends, the oldest first.
    """
    ends, opened = {}, []
    for record in records:
        if record["event"] == _OPENED:
            opened.append(record)
        else:
            ends[record["check"], record["since"]] = parse_instant(record["time"])
    found = []
    for record in opened:
        since = parse_instant(record["since"])
        until = ends.get((record["check"], record["since"]))
        is_open = since <= at and (until is None or at < until)
        if is_open or record["execution"] in executions:
            alert = PastAlert(
                check=record["check"], since=since, until=until, message=record["message"]
            )
            found.append(alert)
    return tuple(found)
