"""Warn about surprises of a valid timing. Pure.

Examples: a day that some months lack, clock changes, counting from 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice, pairwise
from typing import assert_never

from cronsim import CronSim

from runner.planning.views.clock_changes import ClockChange, clock_changes, times_in
from runner.requests.model import RunImmediately, RunLater, Schedule, Timing
from runner.timing.cron.cron_expression import follows_the_wall_clock
from runner.timing.cron.cron_fields import steps_in, unambiguous
from runner.timing.rules import Cron, Daily, DayNumber, Interval, Monthly, NthWeekday, Rule, Weekly
from runner.timing.upcoming import fires, next_fire, span
from runner.timing.zones import kept_by_zone_data, wall_at, zone_named
from runner.values import duration_text

AHEAD = timedelta(days=366)
"""How far ahead to look for clock changes."""
OFTEN_A_DAY = 5_000
_DAY = timedelta(days=1)
_DAY_S, _HOUR_S = 86_400, 3_600
_SAMPLE = 100
_MOST_LISTED = 3
_MONTHS = {
    "January": 31, "February": 28, "March": 31, "April": 30, "May": 31, "June": 30,
    "July": 31, "August": 31, "September": 30, "October": 31, "November": 30, "December": 31,
}  # fmt: skip

_FREQUENCIES = {"second": "secondly", "minute": "minutely", "hour": "hourly"}


class CautionKind(StrEnum):
    """The subject of a caution."""

    OVER = "over"
    SHORT_MONTH = "short_month"
    BOTH_DAYS = "both_days"
    EVERY_MINUTE = "every_minute"
    UNEVEN_STEP = "uneven_step"
    STEP_BEYOND = "step_beyond"
    COUNTS_FROM_1970 = "counts_from_1970"
    GAP = "gap"
    OVERLAP = "overlap"
    SPREAD = "spread"
    OFTEN = "often"
    CALENDAR_ENDS = "calendar_ends"
    DROPPED = "dropped"
    RETENTION = "retention"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """One warning about a timing, in words."""

    kind: CautionKind
    message: str


def cautions(timing: Timing | None, now: datetime) -> list[Caution]:
    """Return the warnings about a timing for its author, as of `now`."""
    match timing:
        case None | RunImmediately():
            return []
        case RunLater(start=start):
            return (
                [Caution(kind=CautionKind.OVER, message="its time has passed")]
                if start <= now
                else []
            )
        case Schedule(rule=rule) if next_fire(rule, now) is None:
            return [Caution(kind=CautionKind.OVER, message=_over(rule, now))]
        case Schedule(rule=rule):
            found = (
                _of_days(rule),
                _of_counting(rule),
                _of_clocks(rule, now),
                _of_spread(timing, now),
                _of_rate(rule, now),
            )
            return [caution for each in found for caution in each]
        case _:
            assert_never(timing)


def _over(rule: Rule, now: datetime) -> str:
    if rule.finish is not None and rule.finish < now:
        return "it is over: its finish is past"
    if rule.repetitions is not None:
        return "it is over: its repetitions are used up"
    return "it is over: no fire is left before its finish"


def _of_days(rule: Rule) -> Iterator[Caution]:
    match rule.pattern:
        case Monthly(day=DayNumber(number=number), interval=interval):
            first = wall_at(rule.start, zone_named(rule.zone)).month - 1 if rule.start else 0
            yield from _short_months(
                [number], {(first + index * interval) % 12 + 1 for index in range(12)}
            )
        case Monthly(day=NthWeekday(nth=5)):
            yield Caution(
                kind=CautionKind.SHORT_MONTH,
                message="most months have no fifth one, and are skipped",
            )
        case Cron(expression=expression):
            yield from _of_cron(expression)


def _of_cron(expression: str) -> Iterator[Caution]:
    minute, hour, day, _, weekday = expression.split()[-5:]
    # Used only for its parsed fields, so any instant will do.
    fields = CronSim(unambiguous(expression), datetime(1970, 1, 1, tzinfo=UTC))
    if not day.startswith("*") and weekday == "*" and 28 not in fields.days:
        yield from _short_months(sorted(fields.days & {29, 30, 31}), fields.months)
    if day != "*" and weekday != "*":
        yield Caution(
            kind=CautionKind.BOTH_DAYS,
            message=_both_days(
                day, weekday, is_either=not day.startswith("*") and not weekday.startswith("*")
            ),
        )
    if minute == "*" and not hour.startswith("*"):
        example = f"{min(fields.hours):02}"
        message = (
            f"the minute is *: it fires each minute of hour {example}; "
            f"for {example}:00 alone write 0"
        )
        yield Caution(kind=CautionKind.EVERY_MINUTE, message=message)
    yield from _uneven_steps(expression, fields)
    yield from _steps_beyond(expression)


def _steps_beyond(expression: str) -> Iterator[Caution]:
    for step in steps_in(expression):
        if step.is_beyond:
            message = f"the step of {step.term} is longer than its range: only {step.first} matches"
            if step.term.startswith("*") and (frequency := _FREQUENCIES.get(step.field.name)):
                message += (
                    f"; every {step.step} {step.field.name}s is "
                    f"frequency: {frequency}, interval: {step.step}"
                )
            yield Caution(kind=CautionKind.STEP_BEYOND, message=message)


def _uneven_steps(expression: str, fields: CronSim) -> Iterator[Caution]:
    clocks = expression.split()[:-3]
    kept = [("hour", "day", 24, fields.hours), ("minute", "hour", 60, fields.minutes)]
    kept.append(("second", "minute", 60, fields.seconds))
    for text, (unit, whole, size, numbers) in zip(reversed(clocks), kept, strict=False):
        step = text.removeprefix("*/")
        if step != text and step.isdecimal() and int(step) < size and size % int(step):
            times = _listed([str(number) for number in sorted(numbers)], _MOST_LISTED)
            message = f"{text} restarts with each {whole}: it fires at {unit} {times}"
            yield Caution(kind=CautionKind.UNEVEN_STEP, message=message)


def _short_months(days: Iterable[int], months: Iterable[int]) -> Iterator[Caution]:
    names = [name for number, name in enumerate(_MONTHS, start=1) if number in set(months)]
    for day in days:
        if lacking := [name for name in names if _MONTHS[name] < day]:
            leap = ", but for leap years" if day == 29 else ""
            skipped = f"there is no day {day} in {_listed(lacking, 12)}: skipped{leap}"
            message = f"{skipped}; the last day of each is `last`, L in cron"
            yield Caution(kind=CautionKind.SHORT_MONTH, message=message)


def _both_days(day: str, weekday: str, *, is_either: bool) -> str:
    if is_either:
        return (
            f"both day fields are restricted: it fires on day {day} of the month "
            f"and also on each weekday {weekday}"
        )
    return (
        f"a day field begins with *: it fires only on days that are {day} of the month "
        f"and weekday {weekday} too"
    )


def _of_counting(rule: Rule) -> Iterator[Caution]:
    if rule.start is not None:
        return
    match rule.pattern:
        case Interval(seconds=seconds) if _DAY_S % seconds:
            unit = "hour" if seconds < _HOUR_S else "day"
            every = duration_text(timedelta(seconds=seconds))
            text = f"{every} does not divide the {unit} evenly, so each {unit} has other times"
        case Daily(interval=interval) | Weekly(interval=interval) if interval > 1:
            unit = "days" if isinstance(rule.pattern, Daily) else "weeks"
            text = f"every {interval} {unit} needs a starting point"
        case Monthly(interval=interval) if 12 % interval:
            text = f"{interval} months do not divide the year evenly"
        case _:
            return
    message = f"{text}: without a start it counts from 1970-01-01T00:00Z"
    yield Caution(kind=CautionKind.COUNTS_FROM_1970, message=message)


def _of_clocks(rule: Rule, now: datetime) -> Iterator[Caution]:
    if isinstance(rule.pattern, Interval) or _comes_every_hour(rule):
        return
    for change in _changes_ahead(rule.zone, now):
        if not (walls := times_in(change, rule)):
            continue
        kind = CautionKind.GAP if change.is_gap else CautionKind.OVERLAP
        times = _listed([_clock(wall) for wall in walls], _MOST_LISTED)
        yield Caution(kind=kind, message=f"{change}: {times} {_fate(rule, change, len(walls) > 1)}")


@kept_by_zone_data(maxsize=64)  # many requests share a zone
def _changes_ahead(zone: str, now: datetime) -> tuple[ClockChange, ...]:
    return tuple(clock_changes(zone_named(zone), now, now + AHEAD))


def _comes_every_hour(rule: Rule) -> bool:
    """Return whether a cron rule fires in every hour, so that a clock change hardly matters."""
    return (
        isinstance(rule.pattern, Cron)
        and _follows(rule)
        and rule.pattern.expression.split()[-4].startswith("*")
    )


def _follows(rule: Rule) -> bool:
    return isinstance(rule.pattern, Cron) and follows_the_wall_clock(rule.pattern.expression)


def _fate(rule: Rule, change: ClockChange, is_plural: bool) -> str:
    lacking, doubled = (
        ("do not exist", "occur twice") if is_plural else ("does not exist", "occurs twice")
    )
    if _follows(rule):
        return (
            f"{lacking}, and nothing fires" if change.is_gap else f"{doubled}, and it fires at both"
        )
    if not change.is_gap:
        return f"{doubled}; it fires at the first"
    if next_fire(rule, change.at - timedelta(microseconds=1)) != change.at:
        return f"{lacking}, and nothing fires"
    return f"{lacking}; it fires at {_clock(change.wall_after)} instead"


def _of_spread(timing: Schedule, now: datetime) -> Iterator[Caution]:
    if not timing.spread:
        return
    sample = list(islice(fires(timing.rule, now), _SAMPLE))
    gap = min((later - earlier for earlier, later in pairwise(sample)), default=None)
    if gap is not None and timing.spread > gap:
        spread, between = duration_text(timing.spread), duration_text(gap)
        longer = f"its spread of {spread} is longer than the {between} between two fires"
        yield Caution(
            kind=CautionKind.SPREAD,
            message=f"{longer}: a fire may start after the time of the next one",
        )


def _of_rate(rule: Rule, now: datetime) -> Iterator[Caution]:
    first = next_fire(rule, now) or now
    count = span(rule, first, first + _DAY).count
    if count > OFTEN_A_DAY:
        yield Caution(
            kind=CautionKind.OFTEN,
            message=f"it runs very often: {count:,} times a day, each a process and two records",
        )


def _listed(words: list[str], most: int) -> str:
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _clock(wall: datetime) -> str:
    return wall.time().isoformat("seconds" if wall.second else "minutes")
