"""Parse the fields of a cron expression and their terms into numbers. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_STEPPED = re.compile(r"(\*|(\w+)(?:-(\w+))?)/(\d+)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CronField:
    """One field of a cron expression."""

    name: str
    low: int
    high: int
    words: Mapping[str, int]
    """The names of some numbers, in capitals: `{"JAN": 1, …}`."""
    allowed: str
    """What the field allows, for messages."""

    def number(self, text: str) -> int | None:
        """Return the number that a text means in this field, or None.

        >>> WEEKDAY.number("fri"), WEEKDAY.number("8")
        (5, None)
        """
        number = self.words.get(text.upper())
        if number is None and re.fullmatch(r"\d{1,9}", text, re.ASCII):
            number = int(text)
        return number if number is not None and self.low <= number <= self.high else None


def _field(
    name: str, low: int, high: int, allowed: str, words: Mapping[str, int] | None = None
) -> CronField:
    return CronField(name=name, low=low, high=high, words=words or {}, allowed=allowed)


SECOND = _field("second", 0, 59, "0-59")
MINUTE = _field("minute", 0, 59, "0-59")
HOUR = _field("hour", 0, 23, "0-23")
DAY = _field("day of the month", 1, 31, "1-31, L for the last, LW for the last workday")
MONTH = _field(
    "month", 1, 12, "1-12 or JAN-DEC", {name: number for number, name in enumerate(_MONTHS, 1)}
)
WEEKDAY = _field(
    "day of the week",
    0,
    7,
    "0-7 or SUN-SAT, 0 and 7 being Sunday; 5L for the last Friday, 5#2 for the second",
    {name: number for number, name in enumerate(_WEEKDAYS)},
)
FIELDS = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A term with a step: every `step` numbers from `first` to `last`, as written in `term`."""

    term: str
    field: CronField
    first: int
    last: int
    step: int

    @property
    def is_beyond(self) -> bool:
        """Whether the step is longer than the range, so that only the first number matches."""
        return self.step > self.last - self.first


def layout(fields: list[str]) -> tuple[CronField, ...]:
    """Return the fields of 5 or 6 texts, in their order."""
    return FIELDS[-len(fields) :]


def steps_in(expression: str) -> Iterator[Step]:
    """Yield the terms of an expression that have a step, field by field.

    >>> [(step.first, step.last, step.is_beyond) for step in steps_in("*/60 9-17/2 * * MON/2")]
    [(0, 59, True), (9, 17, False), (1, 7, False)]
    """
    texts = expression.split()
    for text, field in zip(texts, layout(texts), strict=True):
        for term in text.split(","):
            if step := _step(term, field):
                yield step


def _step(term: str, field: CronField) -> Step | None:
    match = _STEPPED.fullmatch(term)
    if match is None:
        return None
    first = field.low if match[1] == "*" else field.number(match[2])
    last = field.number(match[3]) if match[3] else field.high
    if first is None or last is None or last < first:
        return None
    return Step(term=term, field=field, first=first, last=last, step=int(match[4][:9]))


def unambiguous(expression: str) -> str:
    """Rewrite a valid expression so that cronsim agrees with Debian's cron.

    A term of which only one number matches becomes that number: cronsim reads `5-5/2`
    as `5/2`, and explains `*/60` as "every 60th". A day that matches either day field
    fires; where one field allows every day, both become `*`: cronsim explains
    `0 0 1-31 * MON` as Mondays, though it fires every day.

    >>> unambiguous("5-5/2,8 */60 * * MON"), unambiguous("0 0 1-31 * MON")
    ('5,8 0 * * MON', '0 0 * * *')
    """
    texts = expression.split()
    fields = list(zip(texts, layout(texts), strict=True))
    day, weekday = texts[-3], texts[-1]
    is_either = not day.startswith("*") and not weekday.startswith("*")
    if is_either and (_is_every(day, DAY) or _is_every(weekday, WEEKDAY)):
        fields = [("*" if field in (DAY, WEEKDAY) else text, field) for text, field in fields]
    # In Debian's cron, a day field that begins with `*` means that a day must match both
    # day fields. Rewriting `*/31` as `1` would lose that, so keep the star.
    stays = (
        {DAY: not weekday.startswith("*"), WEEKDAY: not day.startswith("*")}
        if not is_either
        else {}
    )
    return " ".join(_single(text, field, stays.get(field, False)) for text, field in fields)


def _single(text: str, field: CronField, star_stays: bool) -> str:
    return ",".join(_without_step(term, field, star_stays) for term in text.split(","))


def _without_step(term: str, field: CronField, star_stays: bool) -> str:
    step = _step(term, field)
    if step is None or not step.step or not step.is_beyond or (star_stays and term.startswith("*")):
        return term
    return str(step.first)


def _is_every(text: str, field: CronField) -> bool:
    numbers: set[int] = set()
    for term in text.split(","):
        first, dash, last = term.partition("-")
        begin, end = field.number(first), field.number(last if dash else first)
        if step := _step(term, field):
            numbers.update(range(step.first, step.last + 1, step.step or 1))
        elif begin is not None and end is not None:
            numbers.update(range(begin, end + 1))
    wanted = range(7) if field is WEEKDAY else range(field.low, field.high + 1)
    return {number % 7 if field is WEEKDAY else number for number in numbers} >= set(wanted)
