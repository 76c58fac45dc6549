"""The state of a request that outlives the program, and its text for the store. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from operator import attrgetter

from runner.lifecycle import RequestStatus
from runner.planning.states.backfills import Backfill, backfill_from, fields_of
from runner.planning.states.claimed_spans import (
    NOTHING_CLAIMED,
    ClaimedSpans,
    numbers_of,
    spans_from,
)
from runner.requests.model import Outline, RunImmediately, RunLater, Schedule
from runner.requests.policies import NO_RETENTION, Retention
from runner.values import from_microseconds, instant_text, parse_instant, to_microseconds

_RETENTION = "retention"
"""The key of the settings' retention in the store's meta."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestState:
    """The durable state of one request. It outlives the request's file.

    A step back of the clock moves `fired_through` back too. `claimed` and
    `furthest_verdict` survive it, and prevent second runs and second records.
    """

    status: RequestStatus
    generation: int
    """Counts the plannings of the request: a changed rule or a reschedule opens the next."""
    since: datetime
    """When the generation was opened."""
    fired_through: datetime
    """The watermark: fires up to it are settled, and only later ones are considered."""
    rule: str
    """`rule_of` the request when the generation was opened."""
    counted_from: datetime | None = None
    """Set by a reschedule: repetitions count from here."""
    ran_immediately: bool = False
    removed: bool = False
    removed_at: datetime | None = None
    """When the file of a removed request disappeared."""
    retention: Retention = NO_RETENTION
    """How long a removed request keeps its outputs; its file said so last."""
    declared: bool = True
    """The last value of `scheduled` in the file."""
    tokens: tuple[str, ...] = ()
    """The `reschedule` tokens that the file has had.

    Each token presses Reschedule only once in a request's life. Checking a branch out and
    back does not press it again.
    """
    override: bool | None = None
    """The value of `scheduled` that a person set by command, against the file."""
    override_by: str | None = None
    """The person; None if the runner did it, after `failures`."""
    override_at: datetime | None = None
    failures: int = 0
    """How many fires in a row have failed, counted where `unschedule_after` needs it."""
    pressed_by: str | None = None
    """Who last pressed Schedule or Reschedule, until the file's word or rule changes."""
    renamed_to: str | None = None
    """The name of the request that continues this state, by `formerly`."""
    claimed: ClaimedSpans = NOTHING_CLAIMED
    """The claimed fire times of all generations.

    None of them fires again, except by a rule that measures passing time.
    """
    furthest_verdict: datetime | None = None
    """The latest fire time that had a verdict under the present rule.

    A fire up to it runs only on time. It is never caught up or recorded as missed again.
    """
    backfill: Backfill | None = None
    """What is left of a backfill."""

    @property
    def is_reopened(self) -> bool:
        """Whether the clock went back before fire times with a claim or a verdict."""
        verdict = self.furthest_verdict
        return (
            self.claimed.reaches_beyond(self.fired_through)
            or (verdict or self.fired_through) > self.fired_through
        )

    @property
    def is_stopped_by_failures(self) -> bool:
        """Whether `unschedule_after` unscheduled the request, and nobody scheduled it since."""
        return self.override is False and self.override_by is None

    @property
    def is_wanted(self) -> bool:
        """Whether the request should be scheduled: a person's override, or else the file."""
        return self.declared if self.override is None else self.override


_IN_TEXT = [
    (each.name, each.default)
    for each in fields(RequestState)
    if each.name not in ("generation", "fired_through")
]
_in_text = attrgetter(*(name for name, _ in _IN_TEXT))
_INSTANTS = {"since", "removed_at", "counted_from", "override_at", "furthest_verdict"}
_COMING = "coming"
_MICROSECOND = timedelta(microseconds=1)
_encode = json.JSONEncoder(default=instant_text).encode


def rule_of(request: Outline) -> str:
    """Return the normal form of what decides a request's fire times.

    If it changes, the request gets a new generation.
    """
    match request.timing:
        case None:
            return ""
        case RunImmediately():
            return "run_immediately"
        case RunLater(start=start):
            return f"run_later {instant_text(start)}"
        case Schedule(rule=rule):
            return rule.key


def state_text(state: RequestState, *, coming: tuple[datetime, datetime] | None = None) -> str:
    """Write a state as JSON text, without default values.

    `generation` and `fired_through` have database columns of their own. `furthest_verdict`
    is almost always equal to `fired_through`: then the text has `true` in its place.
    `coming`, the next fire and when it is due, follows from the state and the rule. The text
    has it for programs that show it and should not need the rule.
    """
    data = {
        name: value
        for (name, default), value in zip(_IN_TEXT, _in_text(state), strict=True)
        if value is not default and value != default
    }
    if state.furthest_verdict == state.fired_through:
        data["furthest_verdict"] = True
    if state.claimed.bounds:
        data["claimed"] = numbers_of(state.claimed)
    if state.retention != NO_RETENTION:
        data["retention"] = _numbers_of(state.retention)
    if state.backfill is not None:
        data["backfill"] = fields_of(state.backfill)
    if coming is not None:
        data[_COMING] = [to_microseconds(each) for each in coming]
    return _encode(data)


def state_from(text: str, *, generation: int, fired_through: int) -> RequestState:
    """Read the output of `state_text`; `fired_through` is in microseconds since 1970."""
    data = json.loads(text)
    data.pop(_COMING, None)
    through = from_microseconds(fired_through)
    for name in _INSTANTS & data.keys():
        data[name] = through if data[name] is True else parse_instant(data[name])
    data["status"] = RequestStatus(data["status"])
    data["tokens"] = tuple(data.get("tokens", ()))
    data["claimed"] = spans_from(data["claimed"]) if "claimed" in data else NOTHING_CLAIMED
    if "retention" in data:
        data["retention"] = _retention_from(data["retention"])
    data["backfill"] = backfill_from(data["backfill"]) if "backfill" in data else None
    return RequestState(generation=generation, fired_through=through, **data)


def retention_meta(retention: Retention) -> dict[str, str]:
    """Return what the store's meta says of the retention of the settings in force."""
    return {_RETENTION: json.dumps(_numbers_of(retention))}


def retention_in(meta: Mapping[str, str]) -> Retention | None:
    """Return the retention of the settings in force; None for a store that does not say it."""
    return _retention_from(json.loads(meta[_RETENTION])) if _RETENTION in meta else None


def _numbers_of(retention: Retention) -> list[int | None]:
    spans = (retention.keep_for, retention.failures_keep_for)
    microseconds = [None if span is None else span // _MICROSECOND for span in spans]
    return [*microseconds, retention.keep_count, retention.keep_size]


def _retention_from(numbers: list[int | None]) -> Retention:
    spans = [None if each is None else each * _MICROSECOND for each in numbers[:2]]
    return Retention(
        keep_for=spans[0],
        failures_keep_for=spans[1],
        keep_count=numbers[2],
        keep_size=numbers[3],
    )


def watermark(state: RequestState) -> int:
    """Return `fired_through` in microseconds since 1970-01-01T00:00Z."""
    return to_microseconds(state.fired_through)
