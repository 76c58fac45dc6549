"""What people easily overlook in a timing that is valid: days that some months lack, clock changes, 1970. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from itertools import islice, pairwise
from typing import assert_never

from cronsim import CronSim

from runner.planning.clock_changes import clock_changes
from runner.requests.model import RunImmediately, RunLater, Schedule, Timing
from runner.timing.rules import Cron, Daily, DayNumber, Interval, Monthly, NthWeekday, Pattern, Rule, Weekly
from runner.timing.upcoming import fires, next_fire, span
from runner.timing.zones import instant_on_its_day, wall_at, zone_named
from runner.values import duration_text

AHEAD = timedelta(days=366)
"""How far clock changes are looked for: a year, and the day on which it ends."""
OFTEN_A_DAY = 5_000
_DAY = timedelta(days=1)
_SAMPLE = 100
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_LONGEST_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Kind(StrEnum):
    """What a caution is about."""

    OVER = "over"
    SHORT_MONTH = "short_month"
    BOTH_DAYS = "both_days"
    EVERY_MINUTE = "every_minute"
    GAP = "gap"
    OVERLAP = "overlap"
    SPREAD = "spread"
    COUNTS_FROM_1970 = "counts_from_1970"
    OFTEN = "often"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """One thing to know about a timing, in words."""

    kind: Kind
    message: str


def cautions(timing: Timing | None, now: datetime) -> list[Caution]:
    """Return what a person who wrote a timing should know of it at `now`."""
    match timing:
        case None | RunImmediately():
            return []
        case RunLater(start=start):
            return [Caution(kind=Kind.OVER, message="its time is past")] if start <= now else []
        case Schedule():
            return list(_of_schedule(timing, now))
        case _:
            assert_never(timing)


def _of_schedule(timing: Schedule, now: datetime) -> Iterator[Caution]:
    rule = timing.rule
    if next_fire(rule, now) is None:
        yield Caution(kind=Kind.OVER, message=_over(rule, now))
        return
    yield from _of_pattern(rule.pattern)
    if rule.start is None:
        yield from _counting_from_1970(rule.pattern)
    yield from _of_clock_changes(rule, now)
    yield from _of_spread(timing, now)
    yield from _of_frequency(rule, now)


def _over(rule: Rule, now: datetime) -> str:
    if rule.finish is not None and rule.finish < now:
        return "it is over: finish is past, and no fire is left"
    if rule.repetitions is not None:
        return "it is over: its repetitions are used up"
    return "it is over: no fire is left before its finish"


def _of_pattern(pattern: Pattern) -> Iterator[Caution]:
    match pattern:
        case Monthly(day=DayNumber(number=number)) if number > 28:
            yield _short_months([number], range(1, 13))
        case Monthly(day=NthWeekday(nth=5)):
            message = "a month without a fifth one is skipped; most have only four"
            yield Caution(kind=Kind.SHORT_MONTH, message=message)
        case Cron(expression=expression):
            yield from _of_cron(expression)


def _of_cron(expression: str) -> Iterator[Caution]:
    *_, minute, hour, day, _, weekday = expression.upper().split()
    # cronsim reads the fields; from where is of no importance to what is in them.
    parsed = CronSim(expression, datetime(1970, 1, 1, tzinfo=UTC))
    numbers = sorted(set(parsed.days) & {29, 30, 31})
    if numbers and not day.startswith("*") and set(parsed.days) != set(range(1, 32)) and weekday.startswith("*"):
        if lacking := _lacking(numbers, parsed.months):
            yield Caution(kind=Kind.SHORT_MONTH, message=lacking)
    if day != "*" and weekday != "*":
        yield Caution(kind=Kind.BOTH_DAYS, message=_both_days(day, weekday, is_and=parsed.day_and))
    if minute == "*" and not hour.startswith("*"):
        first = f"{min(parsed.hours):02}"
        yield Caution(
            kind=Kind.EVERY_MINUTE,
            message=f"the minute is *: it fires every minute of hour {first}, not once; write 0 for {first}:00",
        )
