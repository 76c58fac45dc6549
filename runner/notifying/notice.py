"""A notice: what one receiver has heard of one alert, and what it will hear. Pure.

Each alert has one notice per receiver, from its opening until the message about its end:

    OPENING → OPEN ⟲ → CLOSING → gone
        ↘ BRIEF → gone
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from runner.lifecycle import Check
from runner.planning.alerts.alert import AlertChange
from runner.requests.policies import Route
from runner.values import instant_text, parse_instant

_T = TypeVar("_T")
GROUPING = timedelta(seconds=30)
"""Alerts that open or close within this time share one message."""
_LONGEST_TAIL = 2000
"""Characters of an execution's output that a message may show."""


class Stage(StrEnum):
    """What the receiver knows."""

    OPENING = "opening"  # nothing yet
    BRIEF = "brief"  # nothing yet, and the alert is over already
    OPEN = "open"  # that the alert opened; the next message repeats it
    CLOSING = "closing"  # that the alert opened; the next message says that it is over


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifiedAlert:
    """What a message can say about an alert; the last four are those of an execution."""

    request: str | None
    check: Check
    since: datetime
    count: int
    execution: str | None
    message: str
    closed_at: datetime | None = None
    closing: str | None = None
    """What ended the alert."""
    exit_code: int | None = None
    reason: str | None = None
    output_tail: str | None = None
    owner: str | None = None

    @property
    def name(self) -> str:
        """The alert as records name it: `backup/failure`, or `disk` for the runner's own."""
        return f"{self.request}/{self.check}" if self.request else str(self.check)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What one receiver knows of one alert. `due` is the time of the next message."""

    alert: str
    """The alert's id."""
    receiver: str
    stage: Stage = Stage.OPENING
    due: datetime
    repeat: timedelta
    recovery: bool
    """Whether the receiver gets a message about the end."""
    thread: str | None = None
    """The id of the message about the opening."""
    facts: NotifiedAlert

    @property
    def id(self) -> str:
        """The key in the store."""
        return f"{self.alert}@{self.receiver}"

    @property
    def is_news(self) -> bool:
        """Whether the next message says something new."""
        return self.stage is not Stage.OPEN

    def stored(self) -> str:
        """Return the JSON text for the store."""
        return json.dumps({"notice": asdict(self)}, default=_plain, ensure_ascii=False)


def opened(change: AlertChange, route: Route) -> Notice:
    """Return the notice of an alert that has just opened for a receiver."""
    return Notice(
        alert=change.alert.id,
        receiver=route.to,
        due=change.at + GROUPING,
        repeat=route.repeat,
        recovery=route.recovery,
        facts=facts_of(change),
    )


def counted(notice: Notice, change: AlertChange) -> Notice:
    """Return the notice after the count of the alert rose."""
    return replace(notice, facts=facts_of(change))


def closed(notice: Notice, change: AlertChange) -> Notice | None:
    """Return the notice after the alert's end; None if the receiver hears nothing more."""
    facts = replace(notice.facts, closed_at=change.at, closing=change.alert.message)
    match notice.stage:
        case Stage.OPENING:
            return replace(notice, stage=Stage.BRIEF, facts=facts)
        case Stage.OPEN if notice.recovery:
            due = change.at + GROUPING
            return replace(notice, stage=Stage.CLOSING, due=due, facts=facts)
        case Stage.OPEN:
            return None
        case Stage.BRIEF | Stage.CLOSING:
            return notice


def after_message(notice: Notice, message: str, now: datetime) -> Notice | None:
    """Return the notice once a message has it; None if the receiver then knows everything."""
    if notice.stage in (Stage.BRIEF, Stage.CLOSING):
        return None
    thread = notice.thread or message
    return replace(notice, stage=Stage.OPEN, due=now + notice.repeat, thread=thread)


def after_silence(notice: Notice, until: datetime, now: datetime) -> Notice:
    """Return the notice with its repetition put off, because a person silenced the alert.

    `until` is the end of the silence: an alert that is still open then is repeated at once.
    """
    return replace(notice, due=min(until, now + notice.repeat))


def within_reach(notice: Notice, now: datetime) -> Notice:
    """Return the notice with a `due` that a correct clock could have set.

    After a step of the clock back, `due` may lie years ahead.
    """
    latest = now + (GROUPING if notice.is_news else notice.repeat)
    return notice if notice.due <= latest else replace(notice, due=latest)


def facts_of(change: AlertChange) -> NotifiedAlert:
    """Return what a message can say about a change of an alert."""
    alert, record = change.alert, change.record or {}
    tail = record.get("output_tail")
    return NotifiedAlert(
        request=alert.request,
        check=alert.check,
        since=alert.since,
        count=alert.count,
        execution=alert.execution,
        message=alert.message,
        exit_code=_of_type(int, record, "exit_code"),
        reason=_of_type(str, record, "reason"),
        output_tail=tail[-_LONGEST_TAIL:] if isinstance(tail, str) else None,
        owner=_of_type(str, record, "owner"),
    )


def notice_in(data: Mapping[str, Any]) -> Notice:
    """Return the notice that `Notice.stored` wrote, from its decoded JSON.

    Raises ValueError, KeyError or TypeError for anything else.
    """
    facts = dict(data["facts"])
    closed_at = facts.pop("closed_at")
    return Notice(
        **dict(data)
        | {
            "stage": Stage(data["stage"]),
            "due": parse_instant(data["due"]),
            "repeat": timedelta(seconds=data["repeat"]),
            "facts": NotifiedAlert(
                **facts
                | {
                    "check": Check(facts["check"]),
                    "since": parse_instant(facts["since"]),
                    "closed_at": None if closed_at is None else parse_instant(closed_at),
                }
            ),
        }
    )


def _plain(value: object) -> object:
    match value:
        case datetime():
            return instant_text(value)
        case timedelta():
            return value.total_seconds()
    raise TypeError(f"a notice cannot hold {value!r:.100}")


def _of_type(kind: type[_T], record: Mapping[str, object], key: str) -> _T | None:
    value = record.get(key)
    return value if isinstance(value, kind) else None
