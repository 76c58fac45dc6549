"""Write another scheduler's cron expression as one of ours with the same meaning. Pure."""

from __future__ import annotations

from itertools import pairwise

from runner.importing.cron_dialects import (
    ALL_DAYS,
    ALL_WEEKDAYS,
    OURS,
    Dialect,
    DialectError,
    Meaning,
    Terms,
    meaning_of,
)

_WEEKS = tuple(frozenset(range(first, min(first + 7, 32))) for first in range(1, 32, 7))
"""The days of the month on which a weekday's first, second, … occurrence can fall."""


def expression_for(text: str, dialect: Dialect) -> str:
    """Return our expression for another scheduler's; the same text if it means the same.

    Raises DialectError if no expression of ours has that meaning.

    >>> from runner.importing.cron_dialects import PARSE_CRONTAB, ROBFIG
    >>> expression_for("0 9 1-7 * mon", PARSE_CRONTAB), expression_for("0 0 */2 * 1", ROBFIG)
    ('0 9 * * 1#1', '0 0 1-31/2 * 1')
    """
    meaning = meaning_of(text, dialect)
    return _same(" ".join(text.split()), meaning) or expression_of(meaning)


def _same(text: str, meaning: Meaning) -> str | None:
    """Return the text if we read it with the given meaning, else None."""
    try:
        is_same = meaning_of(text, OURS) == meaning
    except DialectError:
        return None
    return text if is_same else None


def expression_of(meaning: Meaning) -> str:
    """Write a meaning, without its years. Raises DialectError if no expression has it."""
    days, weekdays = _day_fields(meaning)
    fields = [
        _text(meaning.minutes, 0, 59),
        _text(meaning.hours, 0, 23),
        days,
        _text(meaning.months, 1, 12),
        weekdays,
    ]
    return " ".join(fields if meaning.seconds == {0} else [_text(meaning.seconds, 0, 59), *fields])


def _day_fields(meaning: Meaning) -> tuple[str, str]:
    """Write both day fields.

    If one of them begins with `*`, a day must match both; otherwise one match is enough.
    """
    if meaning.days >= ALL_DAYS:
        return "*", "*" if meaning.weekdays >= ALL_WEEKDAYS else _text(
            meaning.weekdays, 0, 6, star=False
        )
    if meaning.weekdays >= ALL_WEEKDAYS:
        return _text(meaning.days, 1, 31), "*"
    if meaning.is_either:
        return _text(meaning.days, 1, 31, star=False), _text(meaning.weekdays, 0, 6, star=False)
    return _both(meaning.days, meaning.weekdays)


def _both(days: Terms, weekdays: Terms) -> tuple[str, str]:
    """Write two day fields that must both match.

    Two spellings say so: a field with a step from `*`, and a place such as the second
    Friday (`5#2`).
    """
    starred = _text(days, 1, 31)
    if starred.startswith("*"):
        return starred, _text(weekdays, 0, 6, star=False)
    # The weekdays may be a step instead: `*/2` is Sunday, Tuesday, Thursday, Saturday.
    for step in range(2, 8):
        if weekdays == {number % 7 for number in range(0, 8, step)}:
            return _text(days, 1, 31, star=False), f"*/{step}"
    weeks = [nth for nth, week in enumerate(_WEEKS, 1) if week <= days]
    if frozenset().union(*(_WEEKS[nth - 1] for nth in weeks)) != days or not _are_numbers(weekdays):
        raise DialectError(
            "Runner cannot require both a day of the month and a weekday in one expression"
        )
    return "*", ",".join(
        f"{weekday}#{nth}" for nth in weeks for weekday in sorted(weekdays, key=str)
    )


def _are_numbers(terms: Terms) -> bool:
    return all(isinstance(term, int) for term in terms)


def _text(terms: Terms, low: int, high: int, *, star: bool = True) -> str:
    """Write one field; a field that allows every number is `*`."""
    numbers = sorted(term for term in terms if isinstance(term, int))
    if numbers == list(range(low, high + 1)):
        return "*"
    places = sorted(term for term in terms if isinstance(term, str))
    return ",".join([*_parts(numbers, low, high, star=star and not places), *places])


def _parts(numbers: list[int], low: int, high: int, *, star: bool) -> list[str]:
    """Write ascending numbers as one step if possible, else as ranges and single numbers.

    `star` allows `*/step`; in a day field a `*` in front would change the meaning.
    """
    steps = {after - before for before, after in pairwise(numbers)}
    if len(numbers) > 2 and len(steps) == 1 and steps != {1}:
        step = steps.pop()
        is_whole = star and numbers[0] == low and numbers[-1] + step > high
        return [f"*/{step}" if is_whole else f"{numbers[0]}-{numbers[-1]}/{step}"]
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]


def first_and_last(years: Terms) -> tuple[int, int] | None:
    """Return the first and last of consecutive years; None if the years have gaps."""
    numbers = sorted(year for year in years if isinstance(year, int))
    return (
        (numbers[0], numbers[-1]) if numbers == list(range(numbers[0], numbers[-1] + 1)) else None
    )
