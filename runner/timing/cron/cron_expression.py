"""Read a cron expression: its fields, what they match, and what is wrong with it. Pure.

cronsim parses the expression and decides which days match.

As in Debian's cron, an expression whose hour and minute do not begin with `*` names
times of day. All other expressions follow the wall clock. The same holds here for 6 fields:
`0 30 2 * * *` means the same as `30 2 * * *`. (In cronsim, 6 fields always follow the wall
clock.)

cronsim reads `5-5/2` as `5/2`, "from 5 on", and Debian's cron reads it as 5.
`cron_fields` rewrites such terms so that cronsim's days and words agree with Debian.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache

from cronsim import CronSim, CronSimError

from runner.errors import RuleError
from runner.timing.cron.cron_fields import DAY, FIELDS, CronField, layout, unambiguous
from runner.timing.cron.translation import Translation, translated
from runner.timing.texts import shortened

# cronsim requires a time to start from. This module uses only its parsed fields.
_ANY_TIME = datetime(1970, 1, 1)  # noqa: DTZ001
# In characters. All 60 minutes, 24 hours and 31 days, listed, are 310.
_LONGEST = 500
_STEPPED_LAST = re.compile(r"\bLW?/")
_NO_SCHEDULE = {
    "@reboot": "no timing runs at each start; "
    "run_immediately as the timing runs once, when first seen",
}


def read_expression(text: str, *, field: tuple[str | int, ...]) -> str:
    """Return the expression with single spaces between its fields.

    Raises RuleError, which suggests a fix, for an expression that cannot be read.
    """
    if expression := _accepted(text):
        return expression
    meant = schedule_meant(text)
    raise _unreadable(text, text.split(), field, meant.suggestion if meant else None)


def schedule_meant(text: str) -> Translation | None:
    """Translate an expression of another scheduler.

    Returns None if no schedule has exactly the same meaning.
    """
    meant = translated(text)
    if meant is None or _accepted(str(meant.schedule.get("expression", "* * * * *"))) is None:
        return None
    return meant


def is_expression(text: str) -> bool:
    """Return whether a text is a cron expression that Runner reads."""
    return _accepted(text) is not None


def _accepted(text: str) -> str | None:
    fields = text.split()
    if (
        len(fields) not in {5, 6}
        or len(text) > _LONGEST
        or _STEPPED_LAST.search(fields[-3].upper())
    ):
        return None
    expression = " ".join(fields)
    try:
        parsed(expression)
    except CronSimError:
        return None
    return expression


def _unreadable(
    text: str, fields: list[str], field: tuple[str | int, ...], written: str | None
) -> RuleError:
    """Return the error of an expression, naming the field that cannot be read.

    If each field alone can be read, the days and months contradict each other.
    """
    if written and re.search("[?=]", text):
        return RuleError(
            f"{shortened(text)} is not a cron expression as Runner reads it",
            field=field,
            suggestion=written,
        )
    if len(fields) not in {5, 6} or len(text) > _LONGEST:
        message = f"{shortened(text)} is not a cron expression: it has {_counted_fields(fields)}"
        otherwise = (
            'write 5 (minute hour day month weekday), like "30 2 * * MON-FRI", '
            "or 6 with seconds first"
        )
        return RuleError(
            message,
            field=field,
            suggestion=written or _NO_SCHEDULE.get(text.strip().lower()) or otherwise,
        )
    for cron_field, part in zip(layout(fields), fields, strict=True):
        alone = [part if cron_field is other else "*" for other in FIELDS]
        if _accepted(" ".join(alone)) is None:
            message = f"{shortened(part)} is not a valid {cron_field.name} in a cron expression"
            return RuleError(
                message, field=field, suggestion=written or _way_out(part.upper(), cron_field)
            )
    return never_matches(" ".join(fields), field=field)


def _counted_fields(fields: list[str]) -> str:
    return f"{len(fields)} field{'' if len(fields) == 1 else 's'}"


def _way_out(part: str, cron_field: CronField) -> str:
    """Suggest what to write in place of a field that cannot be read."""
    if re.search(r"/0+(?!\d)", part):
        return f"a step is at least 1; * alone is every {cron_field.name}"
    if cron_field is DAY and _STEPPED_LAST.search(part):
        return "the last day has no step: L is the last day of the month, LW the last workday"
    if cron_field is DAY and "L-" in part:
        return (
            "days before the last cannot be counted; "
            "L is the last day of the month, LW the last workday"
        )
    if cron_field is DAY and re.search(r"\dW", part):
        return "the workday nearest to a day has no expression; LW is the last workday of the month"
    if "?" in part:
        return f"write * for every {cron_field.name}"
    return f"allowed are {cron_field.allowed}"


def never_matches(expression: str, *, field: tuple[str | int, ...]) -> RuleError:
    """Return the error of an expression whose dates do not exist, such as 31 February."""
    return RuleError(
        f"{shortened(expression)} can never fire: no date matches its days and months",
        field=field,
        suggestion="L is the last day of any month",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A parsed cron expression.

    Its matching times of day have numbers from 0, in order. Counting and jumping by
    number saves walking over the seconds of a day.
    """

    days: CronSim
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]
    names_times_of_day: bool

    @property
    def clocks(self) -> int:
        """The number of times of day that match."""
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def has_day(self, day: date) -> bool:
        """Return whether a date matches the day, month and weekday fields."""
        return day.month in self.days.months and self.days.match_day(day)

    def clock(self, number: int) -> time:
        """Return the time of day with this number."""
        rest, second = divmod(number, len(self.seconds))
        hour, minute = divmod(rest, len(self.minutes))
        return time(self.hours[hour], self.minutes[minute], self.seconds[second])

    def clocks_through(self, clock: time) -> int:
        """Count the times of day that match, up to and including `clock`."""
        if clock.hour not in self.hours:
            return bisect_left(self.hours, clock.hour) * len(self.minutes) * len(self.seconds)
        minutes = self.hours.index(clock.hour) * len(self.minutes) + bisect_left(
            self.minutes, clock.minute
        )
        seconds = bisect_right(self.seconds, clock.second) if clock.minute in self.minutes else 0
        return minutes * len(self.seconds) + seconds


@lru_cache(maxsize=4096)
def parsed(expression: str) -> Expression:
    """Parse an expression. Raises CronSimError."""
    days = CronSim(unambiguous(expression), _ANY_TIME)
    return Expression(
        days=days,
        hours=tuple(sorted(days.hours)),
        minutes=tuple(sorted(days.minutes)),
        seconds=tuple(sorted(days.seconds)),
        # The fields before day, month and weekday: minute and hour, perhaps seconds.
        names_times_of_day=not any(field.startswith("*") for field in expression.split()[:-3]),
    )


def explanation(expression: str) -> str:
    """Return what an expression means in English, in cronsim's words."""
    words = parsed(expression).days.explain()
    return words[:1].lower() + words[1:]


def follows_the_wall_clock(expression: str) -> bool:
    """Return whether an expression fires whenever the wall clock matches.

    Any other expression names times of day.
    """
    return not parsed(expression).names_times_of_day
