"""Translate the schedules of other schedulers, to suggest what to write instead. Pure.

Runner suggests a translation and never accepts the foreign text itself. The sources are
crontab (`@daily`, `CRON_TZ=`), Go's cron (`@every`), Quartz and AWS (`?`, years, Sunday
is 1), Jenkins (`H`), systemd (`Mon..Fri 02:00`), and plain English (`friday`, `FRI-MON`,
`every 5 minutes`). A text without an exact equivalent has no translation: `@reboot`,
`15W`, `2030/3`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from runner.errors import RuleError
from runner.timing.cron.foreign_cron import ForeignCron, read_fields, spelled
from runner.timing.zones import zone_named

_LONGEST = 200
_LARGEST_INTERVAL = 1_000_000
NICKNAMES: Mapping[str, str] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS_S: Mapping[str, float] = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
}
_ELAPSED = (("hourly", 3600), ("minutely", 60), ("secondly", 1))
_AMOUNT = r"(\d{1,6})\s*([a-z]+)[\s,]*"
_CALENDAR = re.compile(
    r"(?:(?P<days>[a-z]{3,9}(?:(?:\.\.|,|-)[a-z]{3,9})*)\s+)?"
    r"(?:\*-(?P<month>[\d*/,.]+)-(?P<day>[\d*/,.]+)\s*)?"
    r"(?:(?P<hour>[\d*/,.]+):(?P<minute>[\d*/,.]+)(?::(?P<second>0{1,2}))?)?"
    r"(?:\s+(?P<zone>[A-Za-z][\w/+-]*))?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """The keys of a `schedule` with the meaning of a text, and the assumption behind it."""

    schedule: Mapping[str, str | int]
    premise: str = ""

    @property
    def suggestion(self) -> str:
        """What to write in place of the text: another expression, or several keys."""
        entries = {
            key: value
            for key, value in self.schedule.items()
            if (key, value) != ("frequency", "cron")
        }
        if entries.keys() == {"expression"}:
            return f'write "{entries["expression"]}"{self._behind}'
        text = ", ".join(f"{key}: {_quoted(value)}" for key, value in entries.items())
        return f"write {text}{self._behind}"

    @property
    def _behind(self) -> str:
        return f"; {self.premise}" if self.premise else ""


def _quoted(value: str | int) -> str:
    return f'"{value}"' if re.search("[ :]", str(value)) else str(value)


def translated(text: str) -> Translation | None:
    """Return the schedule for a text of another scheduler; None without an exact translation.

    The result has the form of a schedule. Only `read_expression` decides whether its
    expression is valid.

    >>> translated("@every 90m").suggestion
    'write frequency: minutely, interval: 90'
    >>> translated("0 0 12 ? * 2-6").suggestion
    'write "0 0 12 * * MON-FRI"; in Quartz 1 is Sunday'
    """
    text = " ".join(text[: _LONGEST + 1].split())
    if len(text) > _LONGEST:
        return None
    return next(filter(None, (reading(text) for reading in _READINGS)), None)


def elapsed(text: str) -> Translation | None:
    """Return the schedule that fires each time a written duration has passed.

    >>> elapsed("1h30m").schedule, elapsed("two hours")
    ({'frequency': 'minutely', 'interval': 90}, None)
    """
    plain = text[:80].strip().lower()
    amounts = re.findall(_AMOUNT, plain, re.ASCII)
    if not re.fullmatch(f"({_AMOUNT})+", plain, re.ASCII) or any(
        unit not in _UNITS_S for _, unit in amounts
    ):
        return None
    return every(timedelta(seconds=sum(int(amount) * _UNITS_S[unit] for amount, unit in amounts)))


def every(duration: timedelta) -> Translation | None:
    """Return the schedule that fires each time a duration has passed, in its largest unit.

    Returns None for a duration that is not a whole number of seconds.
    """
    if duration < timedelta(seconds=1) or duration % timedelta(seconds=1):
        return None
    seconds = duration // timedelta(seconds=1)
    frequency, size = next((name, size) for name, size in _ELAPSED if seconds % size == 0)
    interval = seconds // size
    if interval > _LARGEST_INTERVAL:
        return None
    return Translation(
        schedule={"frequency": frequency, **({"interval": interval} if interval != 1 else {})}
    )


def _with_zone(text: str) -> Translation | None:
    match = re.fullmatch(r"(?:CRON_)?TZ=(\S+) (.+)", text)
    zone = match and _zone(match[1])
    if not match or not zone:
        return None
    rest = translated(match[2]) or _plain(match[2])
    return rest and replace(rest, schedule={**rest.schedule, "timezone": zone})


def _plain(text: str) -> Translation | None:
    fields = text.split()
    return (
        Translation(schedule={"frequency": "cron", "expression": text})
        if len(fields) in {5, 6}
        else None
    )


def _zone(text: str) -> str | None:
    """Return the zone that a value of TZ names, or None; POSIX writes UTC as `UTC0`."""
    try:
        return zone_named(
            "UTC" if re.fullmatch(r"(UTC|GMT)[+-]?0", text) else text.removeprefix(":")
        ).key
    except RuleError:
        return None


def _nickname(text: str) -> Translation | None:
    return _plain(NICKNAMES.get(text.lower(), ""))


def _every(text: str) -> Translation | None:
    match = re.fullmatch(r"@?every (.+)", text, re.IGNORECASE)
    if not match:
        return None
    one = re.fullmatch(r"(second|minute|hour)", match[1], re.IGNORECASE)
    return elapsed(f"1 {one[1]}" if one else match[1])


def _at_times(text: str) -> Translation | None:
    """Read `daily at 02:00`, `every weekday at 9:30`."""
    match = re.fullmatch(
        r"(?:daily|every (day|weekday)) at (\d{1,2}):(\d\d)", text, re.IGNORECASE | re.ASCII
    )
    if not match or not (int(match[2]) < 24 and int(match[3]) < 60):
        return None
    days = {"days": "weekdays"} if (match[1] or "").lower() == "weekday" else {}
    return Translation(
        schedule={"frequency": "daily", **days, "at": f"{int(match[2]):02}:{match[3]}"}
    )


def _calendar(text: str) -> Translation | None:
    """Read a calendar event of systemd, such as `Mon..Fri *-*-* 02:00`.

    An event with both a weekday and a day of the month has no translation: systemd wants
    both to match, cron either of them. Neither has one that names a year.
    """
    match = _CALENDAR.fullmatch(text)
    if not match or not (match["hour"] or match["day"]):
        return None
    month, day, days = match["month"] or "*", match["day"] or "*", match["days"] or "*"
    if (days != "*" and day != "*") or (match["zone"] and not _zone(match["zone"])):
        return None
    parts = (match["minute"] or "0", match["hour"] or "0", day, month, days)
    five = tuple(re.sub(r"\b0+(?=\d)", "", part.replace("..", "-")) for part in parts)
    beside = {"timezone": match["zone"]} if match["zone"] else {}
    return _of_cron(spelled(ForeignCron(second=None, five=five, beside=beside)))


def _fields(text: str) -> Translation | None:
    """Read the fields of a cron expression of any scheduler."""
    cron = read_fields(text.split())
    return _of_cron(cron) if cron and cron.expression != text else None


def _of_cron(cron: ForeignCron) -> Translation:
    schedule = {"frequency": "cron", "expression": cron.expression, **cron.beside}
    return Translation(schedule=schedule, premise=cron.premise)


_READINGS: tuple[Callable[[str], Translation | None], ...] = (
    _with_zone, _nickname, _every, _at_times, _calendar, _fields,
)  # fmt: skip
