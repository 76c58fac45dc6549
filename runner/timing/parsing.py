"""Build rules and instants from the plain data of a schema-valid timing. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from runner.errors import RuleError
from runner.timing.calendars import NO_DATES, Dates, Shift
from runner.timing.cron.cron_expression import never_matches, read_expression
from runner.timing.rules import (
    Cron,
    Daily,
    DayNumber,
    Interval,
    LastDay,
    MonthDay,
    Monthly,
    NthWeekday,
    NthWorkday,
    Pattern,
    Rule,
    Weekly,
)
from runner.timing.texts import Moment, read_clock, read_moment, shortened
from runner.timing.upcoming import next_fire
from runner.timing.zones import END, TICK, first_instant, instant_of, wall_at, zone_named
from runner.values import EPOCH

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NTH = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": -1}
_DAY_GROUPS = {"weekdays": frozenset(range(5)), "weekends": frozenset({5, 6})}
_DAY_GROUPS["workdays"] = _DAY_GROUPS["weekdays"]
_UNIT_SECONDS = {"secondly": 1, "minutely": 60, "hourly": 3600}
_NTH_WORKDAY = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
)  # fmt: skip
_NAMED_MONTH_DAYS: dict[str, MonthDay] = {
    "last": LastDay(),
    "first_workday": NthWorkday(nth=1),
    "last_workday": NthWorkday(nth=-1),
    **{f"{nth} workday": NthWorkday(nth=at) for at, nth in enumerate(_NTH_WORKDAY, 1) if at > 1},
    **{
        f"{nth} last workday": NthWorkday(nth=-at)
        for at, nth in enumerate(_NTH_WORKDAY, 1)
        if at > 1
    },
    **{
        f"{nth} {weekday}": NthWeekday(nth=number, weekday=index)
        for nth, number in _NTH.items()
        for index, weekday in enumerate(WEEKDAYS)
    },
}
_LONGEST_INTERVAL = timedelta(days=36525)
_MOST_REPETITIONS = 10_000

Field = tuple[str | int, ...]


def parse_rule(
    data: Mapping[str, Any],
    *,
    default_zone: str,
    excepted: Dates = NO_DATES,
    only: Dates | None = None,
) -> Rule:
    """Build the rule of a `schedule` mapping that the JSON schema has accepted.

    The caller reads the dates of `except` and `only`. Raises RuleError with
    the wrong field for: no `at` and no time of day in `start`, a cron expression that
    cannot be read, repetitions without start, a rule that can never fire, a finish
    before start, an unknown zone.
    """
    zone = _zone(data, default_zone)
    pattern = _pattern(data)
    start = read_moment(data["start"], field=_at("start")) if "start" in data else None
    rule = Rule(
        pattern=pattern,
        zone=zone.key,
        at=() if isinstance(pattern, Interval | Cron) else _times_of_day(data, start, zone),
        start=instant_of(start, zone) if start else None,
        finish=_finish(data["finish"], zone) if "finish" in data else None,
        repetitions=int(data["repetitions"]) if "repetitions" in data else None,
        excepted=excepted,
        only=only,
        shift=Shift(data.get("shift", Shift.DROP)),
    )
    _check_repetitions(rule)
    _check_that_it_fires(rule)
    return rule


def _at(*place: str | int) -> Field:
    return ("schedule", *place)


def _zone(data: Mapping[str, Any], default_zone: str) -> ZoneInfo:
    try:
        return zone_named(data.get("timezone", default_zone))
    except RuleError as error:
        raise RuleError(str(error), field=_at("timezone"), suggestion=error.suggestion) from None


def _pattern(data: Mapping[str, Any]) -> Pattern:
    interval = int(data.get("interval", 1))  # JSON's 5.0 is an integer too
    match data["frequency"]:
        case "secondly" | "minutely" | "hourly" as frequency:
            return _interval(interval, frequency)
        case "daily":
            return _daily(interval, data.get("days"))
        case "weekly":
            return Weekly(weekdays=_weekdays(data.get("days", [])), interval=interval)
        case "monthly":
            return Monthly(day=_month_day(data["day"]), interval=interval)
        case "cron":
            return Cron(expression=read_expression(data["expression"], field=_at("expression")))
        case frequency:
            raise AssertionError(f"the schema accepted the frequency {frequency!r}")


def _interval(interval: int, frequency: str) -> Interval:
    seconds = interval * _UNIT_SECONDS[frequency]
    if seconds > _LONGEST_INTERVAL.total_seconds():
        raise RuleError("the interval is longer than a hundred years", field=_at("interval"))
    return Interval(seconds=seconds)


def _daily(interval: int, days: str | None) -> Daily:
    if days is None:
        return Daily(interval=interval)
    if interval != 1:
        raise RuleError(
            f"`interval: {interval}` and `days: {days}` cannot be combined",
            field=_at("interval"),
            suggestion="leave out interval, or days",
        )
    return Daily(weekdays=_DAY_GROUPS[days], workdays=days == "workdays")


def _weekdays(names: list[str]) -> frozenset[int]:
    if not names:
        raise RuleError(
            "a weekly schedule needs a day", field=_at("days"), suggestion="write days: [monday]"
        )
    return frozenset(WEEKDAYS.index(name) for name in names)


def _month_day(day: int | str) -> MonthDay:
    if not isinstance(day, str):
        return DayNumber(number=int(day))
    if day in _NAMED_MONTH_DAYS:
        return _NAMED_MONTH_DAYS[day]
    raise RuleError(
        f"{shortened(day)} is not a day of the month",
        field=_at("day"),
        suggestion='write 1 to 31, last, last_workday, "third workday" or "second sunday"',
    )


def _times_of_day(
    data: Mapping[str, Any], start: Moment | None, zone: ZoneInfo
) -> tuple[time, ...]:
    """Return the times of `at`, sorted without duplicates; by default, the time of `start`."""
    match data.get("at"):
        case str() as text:
            return (read_clock(text, field=_at("at")),)
        case [_, *_] as texts:
            return tuple(
                sorted(
                    {read_clock(text, field=_at("at", index)) for index, text in enumerate(texts)}
                )
            )
    if start is None or start.clock is None:
        reason = "there is no start to take it from" if start is None else "start is a date alone"
        raise RuleError(
            f"at what time of day? `at` is missing, and {reason}",
            field=_at("at"),
            suggestion='write at: "02:00"',
        )
    # A `start` with a UTC offset is an instant. Its time of day is what the clocks of the
    # rule's zone show at that instant.
    return (start.clock if start.offset is None else wall_at(instant_of(start, zone), zone).time(),)


def _finish(text: str, zone: ZoneInfo) -> datetime:
    moment = read_moment(text, field=_at("finish"))
    if moment.clock is not None:
        return instant_of(moment, zone)
    return first_instant(min(moment.day, END.date()) + timedelta(days=1), zone) - TICK


def _check_repetitions(rule: Rule) -> None:
    """Raise RuleError for repetitions without a start, or too many to be walked over."""
    if rule.repetitions is None:
        return
    if rule.start is None:
        raise RuleError(
            "repetitions count from start, which is missing",
            field=_at("repetitions"),
            suggestion="add a start",
        )
    is_counted = isinstance(rule.pattern, Interval) and rule.only is None and not rule.moves
    if rule.repetitions > _MOST_REPETITIONS and not is_counted:
        raise RuleError(
            f"more than {_MOST_REPETITIONS:,} repetitions",
            field=_at("repetitions"),
            suggestion="set finish instead",
        )


def _check_that_it_fires(rule: Rule) -> None:
    """Raise RuleError, which names the cause, for a rule that can never fire."""
    if rule.start and rule.finish and rule.finish < rule.start:
        raise RuleError(
            "finish is before start",
            field=_at("finish"),
            suggestion="write a finish after start, or leave it out",
        )
    if _first_fire(rule):
        return
    # Drop the bounds one by one to find the one that leaves no fire.
    by_pattern = replace(rule.by_pattern, excepted=NO_DATES)
    always = _first_fire(by_pattern)
    if always is None:
        raise _never_by_pattern(rule)
    if not _first_fire(replace(by_pattern, finish=rule.finish)):
        first = wall_at(always, zone_named(rule.zone)).isoformat(" ", "seconds")
        raise RuleError(
            "it can never fire: finish is before the first fire",
            field=_at("finish"),
            suggestion=f"the first would be at {first}, {rule.zone}",
        )
    if not _first_fire(replace(by_pattern, only=rule.only, finish=rule.finish)):
        raise RuleError(
            "it can never fire: its rule names none of the dates of `only`", field=_at("only")
        )
    raise RuleError("it can never fire: all of its days are excepted", field=_at("except"))


def _first_fire(rule: Rule) -> datetime | None:
    return next_fire(replace(rule, repetitions=None), (rule.start or EPOCH) - TICK)


def _never_by_pattern(rule: Rule) -> RuleError:
    match rule.pattern:
        case Cron(expression=expression):
            return never_matches(expression, field=_at("expression"))
        case Monthly(interval=interval):
            return RuleError(
                f"it can never fire: the months, every {interval} from start, all lack that day",
                field=_at("day"),
                suggestion="write last for the last day of each month",
            )
    return RuleError(
        "it can never fire before the year 9999",
        field=_at("start"),
        suggestion="write an earlier start",
    )
