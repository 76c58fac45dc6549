"""Read a cron expression as the scheduler it was written for reads it. Pure.

The result is sets of numbers. The four dialects and ours look alike, but differ:
- `0 0 13 * 5` is the 13th *or* a Friday in cron and Kubernetes; in yacron and
  cronstable it is a 13th that *is* a Friday.
- `0 0 */2 * 1`: Debian's cron requires both day fields to match, because one begins
  with `*`. Kubernetes (robfig/cron 3) requires only one, because there only a step of
  1 keeps the meaning of `*`.
- `5/15` means from 5 on in Kubernetes, yacron and Quartz, but only 5 in Vixie's cron,
  which ignores the step.
- Six fields have seconds first in Quartz and ours, but a year last in yacron.
- Weekday 1 is Monday, but in Quartz it is Sunday.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

Term = int | str
"""A number, or a day's place in the month in our spelling: `L`, `LW`, `5L`, `5#2`."""
Terms = frozenset[Term]

_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_WEEKDAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_WEEKDAYS = {name: number for number, name in enumerate(_WEEKDAY_NAMES)}
ALL_DAYS: Terms = frozenset(range(1, 32))
ALL_WEEKDAYS: Terms = frozenset(range(7))


class DialectError(ValueError):
    """The dialect rejects the expression, or no expression of ours has its meaning.

    The message says which.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field's name, its range of numbers (inclusive), and the numbers of its words."""

    name: str
    low: int
    high: int
    names: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a scheduler reads expressions."""

    name: str
    layouts: Mapping[int, tuple[Field, ...]]
    """The fields in their order, by the number of fields."""
    bare_step: bool = True
    """Whether `5/15` continues to the end of the field."""
    either_day: bool = True
    """Whether one match is enough if both day fields are restricted."""
    star_survives_step: bool = False
    """Whether `*/2` counts as unrestricted for `either_day`."""
    question_mark: bool = True
    """Whether `?` in a day field means any day."""
    wraps: bool = False
    """Whether a range may wrap, as in `fri-mon`."""
    places_in_month: bool = False
    """Whether `L`, `LW`, `5L` and `5#2` are known."""
    at_clock_changes: str = ""
    """What the scheduler does when the clocks change, as a clause for a remark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """The times that an expression matches.

    Weekdays count from 0, Sunday. With `is_either`, a day needs to match only one of the
    day fields. `years` is None for every year.
    """

    seconds: Terms
    minutes: Terms
    hours: Terms
    days: Terms
    months: Terms
    weekdays: Terms
    is_either: bool
    years: Terms | None = None


def _field(name: str, low: int, high: int, names: Mapping[str, int] | None = None) -> Field:
    return Field(name=name, low=low, high=high, names=names or {})


_MINUTE, _HOUR = _field("minute", 0, 59), _field("hour", 0, 23)
_DAY, _MONTH = _field("day of the month", 1, 31), _field("month", 1, 12, _MONTHS)
_SECOND, _YEAR = _field("second", 0, 59), _field("year", 1970, 2099)
_TO_7 = _field("day of the week", 0, 7, _WEEKDAYS)
_TO_6 = _field("day of the week", 0, 6, _WEEKDAYS)
_FROM_1 = _field("day of the week", 1, 7, {name: number + 1 for name, number in _WEEKDAYS.items()})
_FIVE = (_MINUTE, _HOUR, _DAY, _MONTH)

OURS = Dialect(
    name="here",
    layouts={5: (*_FIVE, _TO_7), 6: (_SECOND, *_FIVE, _TO_7)},
    star_survives_step=True,
    question_mark=False,
    places_in_month=True,
)
VIXIE = Dialect(
    name="cron",
    layouts={5: (*_FIVE, _TO_7)},
    bare_step=False,
    star_survives_step=True,
    question_mark=False,
    at_clock_changes="cron runs once for each of the skipped times",
)
ROBFIG = Dialect(
    name="Kubernetes",
    layouts={5: (*_FIVE, _TO_6)},
    at_clock_changes=(
        "Kubernetes skips a time that the clocks skip and runs twice at a time that occurs twice"
    ),
)
PARSE_CRONTAB = Dialect(
    name="yacron",
    layouts={5: (*_FIVE, _TO_7), 6: (*_FIVE, _TO_7, _YEAR), 7: (_SECOND, *_FIVE, _TO_7, _YEAR)},
    either_day=False,
    places_in_month=True,
    at_clock_changes=(
        "yacron skips a time that the clocks skip and runs twice at a time that occurs twice,"
        " cronstable shifts the first and runs once at the second"
    ),
)
QUARTZ = Dialect(
    name="Quartz",
    layouts={6: (_SECOND, *_FIVE, _FROM_1), 7: (_SECOND, *_FIVE, _FROM_1, _YEAR)},
    wraps=True,
    places_in_month=True,
    at_clock_changes=(
        "Quartz skips a time that the clocks skip and runs at the second of two equal times"
    ),
)


def meaning_of(expression: str, dialect: Dialect) -> Meaning:
    """Read an expression as the dialect's scheduler does. Raises DialectError.

    >>> sorted(meaning_of("0 0 0 ? * 6#3", QUARTZ).weekdays)
    ['5#3']
    """
    texts = expression.upper().split()
    layout = dialect.layouts.get(len(texts))
    if layout is None:
        raise DialectError(f"{dialect.name} has no expressions of {len(texts)} fields")
    by_name = {field.name: text for field, text in zip(layout, texts, strict=True)}
    if dialect is QUARTZ and (by_name[_DAY.name] == "?") == (by_name[_FROM_1.name] == "?"):
        raise DialectError("Quartz requires ? in exactly one of the two day fields")
    sets = {
        field.name: _terms(text, field, dialect) for field, text in zip(layout, texts, strict=True)
    }
    days, weekdays = by_name[_DAY.name], by_name[_TO_7.name]
    return normal(
        Meaning(
            seconds=sets.get(_SECOND.name, frozenset({0})),
            minutes=sets[_MINUTE.name],
            hours=sets[_HOUR.name],
            days=sets[_DAY.name],
            months=sets[_MONTH.name],
            weekdays=sets[_TO_7.name],
            is_either=dialect.either_day
            and not _is_star(days, dialect)
            and not _is_star(weekdays, dialect),
            years=None if by_name.get(_YEAR.name, "*") == "*" else sets[_YEAR.name],
        )
    )


def normal(meaning: Meaning) -> Meaning:
    """Return the one form of all equal meanings.

    If one match is enough and one day field allows every day, every day matches.
    """
    if meaning.is_either and (meaning.days >= ALL_DAYS or meaning.weekdays >= ALL_WEEKDAYS):
        return replace(meaning, days=ALL_DAYS, weekdays=ALL_WEEKDAYS, is_either=False)
    return meaning


def _is_star(text: str, dialect: Dialect) -> bool:
    """Return whether a day field counts as unrestricted, so that only the other decides."""
    # Vixie's cron looks at the first character alone, so that `*/2` is a star as well.
    if dialect.star_survives_step:
        return text.startswith("*")
    return any(re.fullmatch(r"[*?](/0*1)?", term) for term in text.split(","))


def _terms(text: str, field: Field, dialect: Dialect) -> Terms:
    """Return what a field matches: the union of its comma-separated terms."""
    found: set[Term] = set()
    for term in text.split(","):
        place = _place_in_month(term, field, dialect) if dialect.places_in_month else None
        found |= _canonical(_numbers(term, field, dialect), field) if place is None else place
    return frozenset(found)


def _canonical(numbers: Iterable[int], field: Field) -> set[Term]:
    """Renumber weekdays from 0, Sunday, as all dialects' meanings do."""
    if field.name != _TO_7.name:
        return set(numbers)
    return {_sunday_first(number, field) for number in numbers}


def _sunday_first(number: int, field: Field) -> int:
    return number - 1 if field is _FROM_1 else number % 7


def _numbers(term: str, field: Field, dialect: Dialect) -> Iterator[int]:
    """Yield the numbers of one term, in the dialect's own numbering: `*`, `a`, `a-b`, `/n`."""
    head, slash, step_text = term.partition("/")
    step = _number(step_text, term, field) if slash else 1
    if step == 0:
        raise DialectError(f"a step of 0 in the {field.name} {term!r}")
    # yacron's library (parse-crontab) accepts weekday 7, but ends `*` and `5/2` at 6.
    high = 6 if dialect is PARSE_CRONTAB and field is _TO_7 else field.high
    if head == "*" or (
        head == "?" and dialect.question_mark and field.name in {_DAY.name, _TO_7.name}
    ):
        return iter(range(field.low, high + 1, step))
    first_text, dash, last_text = head.partition("-")
    first = _value(first_text, term, field)
    last = _value(last_text, term, field) if dash else first
    if dash:
        return _range(first, last, step, term, field, dialect)
    if slash and not dialect.bare_step:
        raise DialectError(
            f"{term!r} means only {first} to some crons, and {first} and later to others"
        )
    return iter(range(first, (high if slash else first) + 1, step))


def _range(
    first: int, last: int, step: int, term: str, field: Field, dialect: Dialect
) -> Iterator[int]:
    if dialect is PARSE_CRONTAB and field is _TO_7 and last == 0:
        last = 7  # parse-crontab reads `sat-0` as Saturday and Sunday
    if first <= last:
        return iter(range(first, last + 1, step))
    if not dialect.wraps:
        raise DialectError(f"the range {term!r} of the {field.name} ends before it begins")
    size = field.high - field.low + 1
    return (
        field.low + (number - field.low) % size for number in range(first, last + size + 1, step)
    )


def _value(text: str, term: str, field: Field) -> int:
    if text in field.names:
        return field.names[text]
    number = _number(text, term, field)
    if not field.low <= number <= field.high:
        raise DialectError(f"{term!r} is not a valid {field.name}: use {field.low} to {field.high}")
    return number


def _number(text: str, term: str, field: Field) -> int:
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII):
        raise DialectError(f"{term!r} is not a valid {field.name}")
    return int(text)


def _place_in_month(term: str, field: Field, dialect: Dialect) -> set[Term] | None:
    """Return a day's place in the month in our spelling, or None for any other term."""
    if field is _DAY:
        return _day_place(term)
    if field.name != _TO_7.name:
        return None
    if dialect is QUARTZ and term == "L":
        return {6}  # in Quartz a bare L is the week's last day, Saturday
    if match := re.fullmatch(r"(\w+)#([1-5])", term, re.ASCII):
        return {f"{_sunday_first(_value(match[1], term, field), field)}#{match[2]}"}
    # parse-crontab writes the L in front (`L5`, `L1-3`), Quartz behind (`6L`).
    trailing = re.fullmatch(
        r"L([0-7])(?:-([0-7]))?" if dialect is PARSE_CRONTAB else r"(\w+)L()", term, re.ASCII
    )
    if not trailing:
        return None
    first = _value(trailing[1], term, field)
    last = _value(trailing[2], term, field) if trailing[2] else first
    return {f"{_sunday_first(number, field)}L" for number in range(first, last + 1)}


def _day_place(term: str) -> set[Term] | None:
    if term in {"L", "LW"}:
        return {term}
    if re.fullmatch(r"\d+W", term, re.ASCII):
        raise DialectError(f"Runner has no equivalent of {term}, the workday nearest to a day")
    if re.fullmatch(r"L-\d+W?", term, re.ASCII):
        raise DialectError(f"Runner has no equivalent of {term}, days before a month's last day")
    return None
