"""The timing settings of other programs, converted to our keys and values. Pure.

Each function takes a value and the mapping around it, and returns the entries to write.
None means that the meaning is uncertain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from runner.errors import RuleError
from runner.requests.schema.hints.conversions import Around, Convert, Entries
from runner.timing.cron.cron_expression import is_expression, schedule_meant
from runner.timing.cron.translation import elapsed, every
from runner.timing.texts import read_clock, read_moment
from runner.timing.zones import zone_named

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def schedule(value: Any, _: Around) -> Entries | None:
    """Convert the text of a schedule: a cron expression, `@every 5m`, `every 5 minutes`."""
    match value:
        case str() if is_expression(value):
            return {"frequency": "cron", "expression": value}
        case str():
            meant = schedule_meant(value)
            return dict(meant.schedule) if meant else None
        case {"schedule": inner, **rest} if not rest:
            return schedule(inner, {})
        case {"frequency": _}:
            return dict(value)
        case [str() as text]:
            return schedule(text, {})
        case [{"cron": str() as text, **rest}] if not rest:
            return schedule(text, {})
    return None


def interval(value: Any, _: Around) -> Entries | None:
    """Convert the time between two fires, or the text of a schedule."""
    if not isinstance(value, str):
        return None
    one = re.fullmatch("second|minute|hour", value.strip().lower())
    meant = elapsed(f"1 {value}" if one else value)
    return dict(meant.schedule) if meant else schedule(value, {})


def every_unit(unit: str) -> Convert:
    """Return a conversion of a number of seconds, minutes or hours.

    Several units side by side do not convert.
    """

    def convert(value: Any, around: Around) -> Entries | None:
        others = {"weeks", "days", "hours", "minutes", "seconds"} - {unit}
        if (
            not isinstance(value, int)
            or isinstance(value, bool)
            or value < 1
            or others & around.keys()
        ):
            return None
        meant = every(timedelta(**{unit: value}))
        return dict(meant.schedule) if meant else None

    return convert


_CRON_KEYS = {
    "minute": 0,
    "hour": 1,
    "dayofmonth": 2,
    "day": 2,
    "month": 3,
    "dayofweek": 4,
    "weekday": 4,
    "dow": 4,
}


def cron_fields(_: Any, around: Around) -> Entries | None:
    """Convert cron fields that are written as keys (Ansible, yacron, APScheduler).

    `minute` is required: where it is missing, some programs assume every minute and
    some the first. Numbered weekdays do not convert: some programs count from Monday,
    some from Sunday.
    """
    fields = ["*"] * 5
    for key, value in around.items():
        place = _CRON_KEYS.get(re.sub("[-_ ]", "", key.lower()))
        if place is None or isinstance(value, bool) or not isinstance(value, str | int):
            continue
        fields[place] = str(value)
    folded = {re.sub("[-_ ]", "", key.lower()) for key in around}
    if "minute" not in folded or "second" in folded or any(" " in each for each in fields):
        return None
    return None if re.search(r"\d", fields[4]) else schedule(" ".join(fields), {})


def cron_keys(around: Around) -> tuple[str, ...]:
    """Return the keys that `cron_fields` reads."""
    return tuple(key for key in around if re.sub("[-_ ]", "", key.lower()) in _CRON_KEYS)


def at(value: Any, _: Around) -> Entries | None:
    """Convert a time of day."""
    try:
        return {"at": value} if isinstance(value, str) and read_clock(value, field=()) else None
    except RuleError as error:
        written = re.fullmatch(r'write "(\d\d:\d\d(?::\d\d)?)"', str(error.suggestion))
        return {"at": written[1]} if written else None


def moment(key: str, *, needs_clock: bool) -> Convert:
    """Return a conversion of a date; `needs_clock` requires a time of day."""

    def convert(value: Any, _: Around) -> Entries | None:
        try:
            read = read_moment(value, field=()) if isinstance(value, str) else None
        except RuleError:
            return None
        return {key: value} if read and (read.clock or not needs_clock) else None

    return convert


def run_later(value: Any, around: Around) -> Entries | None:
    """Convert the instant of a one-time request."""
    start = moment("start", needs_clock=True)(value, around)
    return {"run_later": start} if start else None


def timezone(value: Any, _: Around) -> Entries | None:
    """Convert the name of a zone."""
    try:
        return {"timezone": zone_named(value).key} if isinstance(value, str) else None
    except RuleError as error:
        return {"timezone": "UTC"} if error.suggestion == "write UTC" else None


def days(value: Any, _: Around) -> Entries | None:
    """Convert days of the week to a weekly schedule."""
    listed = days_listed(value)
    return {"days": listed} if listed else None


def days_listed(value: Any) -> list[str] | None:
    """Return the weekdays in a text or a list of texts, in their order.

    Numbers are ambiguous and give None.

    >>> days_listed("mon-wed"), days_listed(["Fri", "sunday"]), days_listed("1-5")
    (['monday', 'tuesday', 'wednesday'], ['friday', 'sunday'], None)
    """
    terms = re.split(r"\s*,\s*|\s+and\s+", value) if isinstance(value, str) else value
    if not isinstance(terms, list) or not terms or not all(isinstance(term, str) for term in terms):
        return None
    found: list[str] = []
    for term in terms:
        ends = [_weekday(end) for end in re.split(r"\s*(?:-|\.\.|–| to )\s*", term.strip())]
        if term.strip().lower() in {"weekdays", "weekday", "workdays"}:
            ends = [0, 4]
        if term.strip().lower() in {"weekends", "weekend"}:
            ends = [5, 6]
        if None in ends or len(ends) > 2:
            return None
        first, last = ends[0] or 0, ends[-1] or 0
        found += [WEEKDAYS[(first + number) % 7] for number in range((last - first) % 7 + 1)]
    return list(dict.fromkeys(found))


def _weekday(text: str) -> int | None:
    folded = text.strip().lower()
    for number, day in enumerate(WEEKDAYS):
        if folded in {day, f"{day}s", day[:3], *_SHORT.get(day[:3], ())}:
            return number
    return None


_SHORT: Mapping[str, tuple[str, ...]] = {
    "tue": ("tues",),
    "wed": ("weds",),
    "thu": ("thur", "thurs"),
}


def repetitions(subtracted: int) -> Convert:
    """Return a conversion of a number of runs.

    Our number leaves out the first run and needs a `start`.
    """

    def convert(value: Any, around: Around) -> Entries | None:
        is_number = isinstance(value, int) and not isinstance(value, bool) and value >= subtracted
        return {"repetitions": value - subtracted} if is_number and "start" in around else None

    return convert
