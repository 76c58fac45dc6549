"""Read times as people write them: `02:00`, `2026-12-24 18:00[+01:00]`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, time, timedelta

from runner.errors import RuleError

# Compiled at their first use, because few commands need them.
_MOMENT = r"(?a:(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d)?) ?(Z|[+-]\d\d:?\d\d)?)?)"
_CLOCK = r"(?a:(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?)"
_ALMOST_CLOCK = r"(?a:(\d{1,2})(?:[:.h]?(\d\d))?(?::(\d\d))? ?(am|pm|h|))"
_FIRST_YEAR = 1970
_LARGEST_OFFSET = timedelta(hours=18)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A time as written: its date, perhaps a time of day, perhaps a UTC offset.

    `clock` is None for a date alone.
    """

    day: date
    clock: time | None
    offset: timedelta | None


def shortened(text: str) -> str:
    """Quote a user's text for a message, cut to 60 characters."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def read_moment(text: str, *, field: tuple[str | int, ...]) -> Moment:
    """Read `YYYY-MM-DD[ HH:MM[:SS]]`, with a space or `T`, and perhaps an offset or `Z`.

    Raises RuleError for any other text, for a date or time that does not exist, and for
    years before 1970.
    """
    match = re.fullmatch(_MOMENT, text)
    if not match:
        raise RuleError(
            f"{shortened(text)} is not a time",
            field=field,
            suggestion="write it like 2026-12-24 18:00",
        )
    day_text, clock_text, offset_text = match.groups()
    try:
        day = date.fromisoformat(day_text)
        if clock_text and clock_text.startswith("24"):
            # Python 3.14 and later read it as 00:00, which is a day earlier.
            raise ValueError("hour must be in 0..23")
        clock = time.fromisoformat(clock_text) if clock_text else None
    except ValueError as error:
        raise RuleError(f"there is no {text}: {error}", field=field) from None
    if day.year < _FIRST_YEAR:
        raise RuleError(
            f"{text} is too long ago", field=field, suggestion=f"write a year from {_FIRST_YEAR} on"
        )
    return Moment(
        day=day, clock=clock, offset=_read_offset(offset_text, field) if offset_text else None
    )


def _read_offset(text: str, field: tuple[str | int, ...]) -> timedelta:
    if text == "Z":
        return timedelta()
    hours, minutes = int(text[1:3]), int(text[-2:])
    offset = timedelta(hours=hours, minutes=minutes)
    if minutes > 59 or offset > _LARGEST_OFFSET:
        raise RuleError(
            f"there is no UTC offset {text}", field=field, suggestion="write it like +02:00 or Z"
        )
    return -offset if text[0] == "-" else offset


def read_clock(text: str, *, field: tuple[str | int, ...]) -> time:
    """Read a time of day, `HH:MM` or `HH:MM:SS`.

    Raises RuleError, which suggests the probable time, for any other text.
    """
    if re.fullmatch(_CLOCK, text):
        return time.fromisoformat(text)
    raise RuleError(
        f"{shortened(text)} is not a time of day", field=field, suggestion=_probable_clock(text)
    )


def _probable_clock(text: str) -> str:
    """Suggest what to write for `9:30`, `2pm`, `24:00`.

    >>> _probable_clock("2:30pm")
    'write "14:30"'
    """
    match = re.fullmatch(_ALMOST_CLOCK, text.strip().lower())
    if match:
        hour, minute, second = (int(group or 0) for group in match.group(1, 2, 3))
        if (hour, minute, second) == (24, 0, 0):
            return 'a day ends where the next begins: write "00:00" and mean the day after'
        if match[4] in {"am", "pm"} and 1 <= hour <= 12:
            hour = hour % 12 + 12 * (match[4] == "pm")
        clock = f"{hour:02}:{minute:02}" + (f":{second:02}" if match[3] else "")
        if re.fullmatch(_CLOCK, clock):
            return f'write "{clock}"'
    return 'write it like "02:00" or "14:30:15", from "00:00" to "23:59:59"'
