"""Foreign values of the keys of a timing, and what to write instead. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runner.errors import RuleError
from runner.requests.findings import DataPath
from runner.requests.schema.hints import timing_conversions as times
from runner.requests.schema.hints.conversions import Around, Entries
from runner.requests.schema.hints.timing_conversions import WEEKDAYS
from runner.timing.cron.translation import elapsed
from runner.timing.texts import read_moment


@dataclass(frozen=True, slots=True)
class Replacement:
    """Entries that replace a key and override the entries around it."""

    entries: Entries


Reading = Callable[[Any, Around], Any]
"""Returns a value, a `Replacement`, or None if the meaning is uncertain."""

_EVERY_UNIT = {
    **dict.fromkeys(("second", "seconds", "sec"), "secondly"),
    **dict.fromkeys(("minute", "minutes", "min"), "minutely"),
    **dict.fromkeys(("hour", "hours"), "hourly"),
    **dict.fromkeys(("day", "days"), "daily"),
    **dict.fromkeys(("week", "weeks"), "weekly"),
    **dict.fromkeys(("month", "months"), "monthly"),
}
_MONTHS_OF = {
    "quarterly": 3,
    "semiannually": 6,
    "biannually": 6,
    "yearly": 12,
    "annually": 12,
    "annual": 12,
    "year": 12,
    "years": 12,
}
_NTH = {
    "1st": "first",
    "2nd": "second",
    "3rd": "third",
    "4th": "fourth",
    "5th": "fifth",
    "1": "first",
    "2": "second",
    "3": "third",
    "4": "fourth",
    "5": "fifth",
    "final": "last",
}
_PLACES = ("first", "second", "third", "fourth", "fifth", "last")
_COUNTED = {"daily": "day|days|d", "weekly": "week|weeks|w", "monthly": "month|months"}


_BY_HAND = {"manual", "manually", "none", "never", "ondemand", "onrequest", "adhoc", "disabled"}
WITHOUT_TIMING = (
    "leave `timing` out: the request then runs only by `runner exec`, or as a group's member"
)


def is_by_hand(path: DataPath, value: object) -> bool:
    """Return whether a value in the timing means that nothing fires by itself."""
    return (
        path[:1] == ("timing",)
        and path[-1] in {"timing", "schedule", "run_later", "frequency"}
        and isinstance(value, str)
        and re.sub(r"[-_\s]", "", value[:20]).lower() in _BY_HAND
    )


def _timing(value: Any, _: Around) -> Any:
    if not isinstance(value, str):
        return None
    if value.strip().lower() in {"now", "immediately", "immediate", "once now"}:
        return "run_immediately"
    if schedule := _schedule(value, {}):
        return {"schedule": schedule}
    return times.run_later(value, {})


def _schedule(value: Any, _: Around) -> Any:
    """Convert a schedule.

    The names that crontab and systemd share mean the start of the hour or day.
    """
    if not isinstance(value, str):
        return times.schedule(value, {})
    if value == "daily":
        return {"frequency": "daily", "at": "00:00"}
    if value in {"secondly", "minutely", "hourly"}:
        return {"frequency": value}
    if value == "monthly":
        return {"frequency": "monthly", "day": 1, "at": "00:00"}
    months = _MONTHS_OF.get(value)
    yearly = _every_months(months, {}) if months else None
    return yearly.entries if yearly else times.schedule(value, {})


def _run_later(value: Any, around: Around) -> Any:
    return times.moment("start", needs_clock=True)(value, around)


def _frequency(value: Any, around: Around) -> Any:
    if not isinstance(value, str):
        return None
    folded = value.strip().lower()
    if folded in _EVERY_UNIT:
        return _EVERY_UNIT[folded]
    if folded in {"biweekly", "fortnightly"}:
        return Replacement({"frequency": "weekly", "interval": 2})
    if folded in _MONTHS_OF and "interval" not in around:
        return _every_months(_MONTHS_OF[folded], around)
    if folded in {"weekdays", "weekday", "weekends"} and around.get("interval", 1) == 1:
        return Replacement(
            {"frequency": "daily", "days": "weekends" if folded == "weekends" else "weekdays"}
        )
    schedule = times.interval(value, {})
    return Replacement(schedule) if schedule else None


def _every_months(months: int, around: Around) -> Replacement | None:
    """Convert a number of months, counted from January or from the month of `start`.

    The day is that of `start`, else the first.
    """
    entries: Entries = {"frequency": "monthly", "interval": months}
    start = None
    if "start" in around:
        try:
            start = read_moment(str(around["start"]), field=())
        except RuleError:
            return None
    if "day" not in around:
        entries["day"] = start.day.day if start else 1
    if "at" not in around and not (start and start.clock):
        entries["at"] = "00:00"
    return Replacement(entries)


def _interval(value: Any, around: Around) -> Any:
    if not isinstance(value, str):
        return None
    frequency = around.get("frequency")
    if unit := _COUNTED.get(str(frequency)):
        match = re.fullmatch(rf"(\d{{1,6}})\s*(?:{unit})", value.strip().lower(), re.ASCII)
        return int(match[1]) if match and int(match[1]) else None
    meant = elapsed(value)
    if meant is None or frequency not in {"secondly", "minutely", "hourly", None}:
        return None
    if meant.schedule["frequency"] == frequency:
        return meant.schedule.get("interval", 1)
    return Replacement(
        {"frequency": meant.schedule["frequency"], "interval": meant.schedule.get("interval", 1)}
    )


def _days(value: Any, around: Around) -> Any:
    """Convert days to the form of the frequency.

    A list for weekly, `weekdays` or `weekends` for daily.
    """
    listed = times.days_listed(value)
    if listed is None:
        return None
    if around.get("frequency") == "weekly":
        return listed
    if around.get("frequency") == "daily" and around.get("interval", 1) == 1:
        for name, days in (("weekdays", WEEKDAYS[:5]), ("weekends", WEEKDAYS[5:])):
            if set(listed) == set(days):
                return name
        return Replacement({"frequency": "weekly", "days": listed})
    return None


def _day(value: Any, _: Around) -> Any:
    """Convert `15th`, `last day`, `2nd sun` or `last weekday` (Monday to Friday) to a
    day of the month.
    """
    if not isinstance(value, str):
        return None
    words = re.split(r"[\s_-]+", value.strip().lower().removeprefix("the "))
    match words:
        case [number] if matched := re.fullmatch(
            r"0?([1-9]|[12]\d|3[01])(?:st|nd|rd|th)?", number, re.ASCII
        ):
            return int(matched[1])
        case ["l"] | ["last", "day"] | ["end"] | ["lastday"]:
            return "last"
        case (
            ["lw"]
            | ["last", "weekday" | "workday" | "businessday"]
            | ["last", "working" | "business", "day"]
        ):
            return "last_workday"
        case ["first", "day"]:
            return 1
        case [place, day]:
            nth, listed = _NTH.get(place, place), times.days_listed([day])
            return f"{nth} {listed[0]}" if nth in _PLACES and listed and len(listed) == 1 else None
    return None


TIMING_READINGS: Mapping[str, Reading] = {
    "timing": _timing,
    "schedule": _schedule,
    "run_later": _run_later,
    "frequency": _frequency,
    "interval": _interval,
    "days": _days,
    "day": _day,
}
"""The readings of the keys of a timing, by key."""
