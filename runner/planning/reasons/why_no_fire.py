"""Explain why a rule has no fire at an instant. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from runner.planning.reasons.history import Run
from runner.planning.reasons.past_alerts import PastAlert
from runner.timing.calendars import FARTHEST_MOVE, NO_DATES
from runner.timing.moves import destination
from runner.timing.rules import Rule
from runner.timing.upcoming import next_fire, span
from runner.timing.zones import TICK, zone_named

_SECOND = timedelta(seconds=1)
_LONGEST_LOOK_BACK = timedelta(days=366 * 50)


class Cause(StrEnum):
    """The cause that decided whether a request ran at an instant."""

    FIRES = "fires"
    RAN = "ran"
    RUNNING = "running"
    WAITING = "waiting"
    SKIPPED = "skipped"
    MISSED = "missed"
    NO_TIMING = "no_timing"
    NO_FIRE = "no_fire"
    BEFORE_START = "before_start"
    AFTER_FINISH = "after_finish"
    EXCEPTED = "excepted"
    NOT_CHOSEN = "not_chosen"
    REPETITIONS_USED_UP = "repetitions_used_up"
    NOT_REGISTERED = "not_registered"
    RULE_CHANGED = "rule_changed"
    UNSCHEDULED = "unscheduled"
    PAUSED = "paused"
    REMOVED = "removed"
    COMPLETE = "complete"
    RUNNER_DOWN = "runner_down"
    TO_COME = "to_come"
    CLAIMED = "claimed"
    CLOCK_WENT_BACK = "clock_went_back"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Because:
    """One reason, in words. It gives times as wall times with their UTC offset."""

    cause: Cause
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer for an instant, the decisive reason first.

    `runs` are the recorded executions of the instant. If the rule has no fire at the
    instant, `before` and `after` are its nearest fires.
    """

    because: tuple[Because, ...]
    runs: tuple[Run, ...] = ()
    before: datetime | None = None
    after: datetime | None = None
    alerts: tuple[PastAlert, ...] = ()
    """The alerts that were open at the instant, or that its executions opened."""


Where = Callable[[date], str | None]
"""Returns the line of a file that excepts a date, such as "holidays.txt:14"."""


def nowhere(_: date) -> None:
    """Name no file."""


def fire_at(rule: Rule, at: datetime, *, counted_from: datetime | None = None) -> datetime | None:
    """Return the fire of a rule within the second that begins at `at`, if there is one."""
    fire = next_fire(rule, at - TICK, counted_from=counted_from)
    return fire if fire is not None and is_at(fire, at) else None


def last_fire(
    rule: Rule, until: datetime, *, counted_from: datetime | None = None
) -> datetime | None:
    """Return the last fire in the 50 years up to `until`; None if there is none.

    Repetitions count from the rule's start, and anew after `counted_from`.
    """
    found = _last_counted_fire(rule, until, counted_from)
    if found is None and counted_from is not None:
        return _last_counted_fire(rule, min(until, counted_from), None)
    return found


def _last_counted_fire(
    rule: Rule, until: datetime, counted_from: datetime | None
) -> datetime | None:
    look_back = timedelta(hours=1)
    while look_back < _LONGEST_LOOK_BACK:
        begin = max(until - look_back, (rule.start or until - look_back) - TICK)
        if begin >= until:
            return None
        if latest := span(rule, begin, until, counted_from=counted_from).latest:
            return latest[-1]
        look_back *= 4
    return None


def rule_hinders(
    rule: Rule,
    at: datetime,
    zone: str,
    *,
    counted_from: datetime | None = None,
    where: Where = nowhere,
) -> Explanation | None:
    """Return why a rule has no fire at an instant; None if it has one.

    `where` names the line that excepts a date.
    """
    if fire_at(rule, at, counted_from=counted_from):
        return None
    if rule.start is not None and at < rule.start:
        because = Because(
            cause=Cause.BEFORE_START, message=f"its start is later: {local_words(rule.start, zone)}"
        )
    elif fire_at(replace(rule, finish=None, repetitions=None), at):
        because = _end_reason(rule, at, zone)
    elif named := fire_at(rule.by_pattern, at):
        because = _calendar_reason(rule, named, zone, where)
    else:
        because = _pattern_reason(rule, at, where)
    after = next_fire(rule, at, counted_from=counted_from)
    before = last_fire(rule, at, counted_from=counted_from)
    return Explanation(because=(because,), before=before, after=after)


def _end_reason(rule: Rule, at: datetime, zone: str) -> Because:
    """Say which end of the rule lies before a fire: `finish`, or the last repetition."""
    if rule.finish is not None and at > rule.finish:
        return Because(
            cause=Cause.AFTER_FINISH,
            message=f"its finish is earlier: {local_words(rule.finish, zone)}",
        )
    times = f"{rule.repetitions} repetitions are" if rule.repetitions != 1 else "one repetition is"
    return Because(cause=Cause.REPETITIONS_USED_UP, message=f"its {times} used up by then")


def _pattern_reason(rule: Rule, at: datetime, where: Where) -> Because:
    """Say why the pattern does not name an instant: only workdays, and the date is none?"""
    day = at.astimezone(zone_named(rule.zone)).date()
    if day in rule.excepted and fire_at(replace(rule.by_pattern, excepted=NO_DATES), at):
        message = f"{_excepted_words(day, where)}, so it is not a workday"
        return Because(cause=Cause.EXCEPTED, message=message)
    return Because(cause=Cause.NO_FIRE, message="its rule has no fire at that time")


def _excepted_words(day: date, where: Where) -> str:
    place = where(day)
    return f"{day} is an excepted date" + (f" ({place})" if place else "")


def _calendar_reason(rule: Rule, named: datetime, zone: str, where: Where) -> Because:
    """Say why the calendar keeps a fire of the pattern from its date, and where it goes."""
    day = named.astimezone(zone_named(rule.zone)).date()
    if rule.only is not None and day not in rule.only:
        message = f"{day} is not one of the dates of `only`"
        return Because(cause=Cause.NOT_CHOSEN, message=message)
    message = _excepted_words(day, where) if day in rule.excepted else f"{day} is a {day:%A}"
    if rule.moves:
        target = destination(rule, named)
        message += (
            f"; its fire moves to {local_words(target, zone)}"
            if target
            else f"; it is dropped, because no date within {FARTHEST_MOVE} days is free"
        )
    return Because(cause=Cause.EXCEPTED, message=message)


def is_at(fire: datetime, at: datetime) -> bool:
    """Return whether a fire lies within the second that begins at `at`."""
    return at <= fire < at + _SECOND


def local_words(instant: datetime, zone: str) -> str:
    """Return an instant as wall time in `zone` with its UTC offset, to the second."""
    return instant.astimezone(zone_named(zone)).isoformat(" ", "seconds")
