"""Foreign values of our own keys, and what to write instead. Pure.

A reading takes the value and the mapping around it. It returns a value, or a `Beside`
that replaces several keys. The suggestion appears only if the resulting request would
be valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runner.errors import RuleError
from runner.requests.findings import DataPath, value_at
from runner.requests.schema import conversions as to
from runner.requests.schema import suggestions
from runner.requests.schema import timing_conversions as times
from runner.requests.schema.aliases import NOTES, fits
from runner.requests.schema.conversions import Around, Entries
from runner.requests.schema.timing_conversions import WEEKDAYS
from runner.timing.texts import read_moment
from runner.timing.translation import elapsed
from runner.values import parse_size


@dataclass(frozen=True, slots=True)
class Beside:
    """Entries that replace a key and override the entries around it."""

    entries: Entries


Reading = Callable[[Any, Around], Any]
"""Returns a value, a `Beside`, or None if the meaning is uncertain."""

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
_CHOICES: Mapping[str, Mapping[str, str]] = {
    "misfire": {
        "ignore": "skip",
        "donothing": "skip",
        "none": "skip",
        "once": "fire_once",
        "runonce": "fire_once",
        "fireonce": "fire_once",
        "fireoncenow": "fire_once",
        "fireall": "fire_all",
        "all": "fire_all",
        "runall": "fire_all",
    },
    "on_overlap": {
        "skip": "refuse",
        "forbid": "refuse",
        "drop": "refuse",
        "wait": "queue",
        "enqueue": "queue",
        "kill": "replace",
        "cancel": "replace",
        "terminate": "replace",
    },
    "if_interrupted": {
        "retry": "rerun",
        "restart": "rerun",
        "rerunonce": "rerun",
        "ignore": "record",
        "skip": "record",
    },
}


def meant_by_value(path: DataPath, data: object) -> str | None:
    """Return what to write instead of the value at `path`, None if its meaning is uncertain."""
    depth = next(
        (length for length in range(len(path), 0, -1) if isinstance(path[length - 1], str)), 0
    )
    at, key = path[:depth], str(path[depth - 1]) if depth else ""
    reading, around = _READINGS.get(key), value_at(data, at[:-1])
    if reading is None or not isinstance(around, dict):
        return None
    meant = reading(value_at(data, at), around)
    if meant is None:
        return None
    entries = meant.entries if isinstance(meant, Beside) else {key: meant}
    rest = {name: each for name, each in around.items() if name != key}
    if not fits(at[:-1], rest, entries):
        return None
    if isinstance(meant, Beside) or len(path) > len(at):
        suggestion = suggestions.written(entries)
    else:
        suggestion = suggestions.write(meant)
    return f"{suggestion}; {NOTES[key]}" if suggestion and key in NOTES else suggestion


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
        return Beside({"frequency": "weekly", "interval": 2})
    if folded in _MONTHS_OF and "interval" not in around:
        return _every_months(_MONTHS_OF[folded], around)
    if folded in {"weekdays", "weekday", "weekends"} and around.get("interval", 1) == 1:
        return Beside(
            {"frequency": "daily", "days": "weekends" if folded == "weekends" else "weekdays"}
        )
    schedule = times.interval(value, {})
    return Beside(schedule) if schedule else None


def _every_months(months: int, around: Around) -> Beside | None:
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
    return Beside(entries)


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
    return Beside(
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
        return Beside({"frequency": "weekly", "days": listed})
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


def _choice(key: str) -> Reading:
    return lambda value, _: _CHOICES[key].get(re.sub("[-_ ]", "", str(value)).lower())


def _command(value: Any, around: Around) -> Any:
    if not isinstance(value, str):
        return None
    action = to.command(value, around)
    if action is None:
        return None
    return Beside(action) if "shell" in action else action["command"]


def _inner(key: str, convert: to.Convert) -> Reading:
    """Return a reading that yields the value below our key."""

    def reading(value: Any, around: Around) -> Any:
        entries = convert(value, around)
        return entries[key] if entries and key in entries else None

    return reading


def _retry(value: Any, _: Around) -> Any:
    is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return {"attempts": value + 1} if is_number else None


def _on_failure(value: Any, _: Around) -> Any:
    return (
        {"request": value} if isinstance(value, str) and suggestions.is_name_like(value) else None
    )


def _group(value: Any, _: Around) -> Any:
    """Take a list as the members."""
    return {"members": _members(value, {}) or value} if isinstance(value, list) and value else None


def _members(value: Any, _: Around) -> Any:
    if not isinstance(value, list):
        return None
    found = [
        {"request": each} if isinstance(each, str) and suggestions.is_name_like(each) else each
        for each in value
    ]
    return found if found != value else None


def _success(value: Any, _: Around) -> Any:
    codes = value if isinstance(value, list) else [value]
    return {"exit_codes": codes} if codes and all(type(code) is int for code in codes) else None


def _codes(value: Any, _: Around) -> Any:
    return [value] if type(value) is int else None


def _size(value: Any, _: Around) -> Any:
    """Spell a size in our units.

    `1G` stays unconverted, because programs disagree on its size.
    """
    if not isinstance(value, str):
        return None
    match = re.fullmatch(r"(\d{1,15})\s*([kmgt]i?)?(b|bytes?)?", value.strip().lower(), re.ASCII)
    if not match or not (match[3] or (match[2] or "").endswith("i")):
        return None
    unit = (match[2] or "").upper().replace("I", "i")
    text = f"{match[1]}{unit}B"
    return text if text != value and parse_size(text) else None


def _umask(value: Any, _: Around) -> Any:
    return f"{value:03}" if type(value) is int and re.fullmatch("[0-7]{1,3}", str(value)) else None


_READINGS: Mapping[str, Reading] = {
    "timing": _timing,
    "schedule": _schedule,
    "run_later": _run_later,
    "frequency": _frequency,
    "interval": _interval,
    "days": _days,
    "day": _day,
    "misfire": _choice("misfire"),
    "on_overlap": _choice("on_overlap"),
    "if_interrupted": _choice("if_interrupted"),
    "command": _command,
    "environment": _inner("environment", to.environment),
    "run_as": _inner("run_as", to.run_as),
    "retry": _retry,
    "on_failure": _on_failure,
    "group": _group,
    "members": _members,
    "success": _success,
    "exit_codes": _codes,
    "memory": _size,
    "output_limit": _size,
    "umask": _umask,
}
