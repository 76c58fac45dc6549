"""Rewrite the cron fields of another scheduler as Runner's, with the same meaning. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from runner.timing.cron.cron_fields import HOUR, MINUTE, MONTH, WEEKDAY, CronField, layout

_NUMBERED_FROM_SUNDAY = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FULL_NAMES: Mapping[CronField, Mapping[str, str]] = {
    WEEKDAY: {
        **{f"{name}DAY{s}": name for name in ("SUN", "MON", "FRI") for s in ("", "S")},
        **dict.fromkeys(("TUES", "TUESDAY", "TUESDAYS"), "TUE"),
        **dict.fromkeys(("WEDS", "WEDNESDAY", "WEDNESDAYS"), "WED"),
        **dict.fromkeys(("THUR", "THURS", "THURSDAY", "THURSDAYS"), "THU"),
        **dict.fromkeys(("SATURDAY", "SATURDAYS"), "SAT"),
    },
    MONTH: {
        "JANUARY": "JAN", "FEBRUARY": "FEB", "MARCH": "MAR", "APRIL": "APR",
        "JUNE": "JUN", "JULY": "JUL", "AUGUST": "AUG", "SEPT": "SEP",
        "SEPTEMBER": "SEP", "OCTOBER": "OCT", "NOVEMBER": "NOV", "DECEMBER": "DEC",
    },
}  # fmt: skip
_YEARS = re.compile(r"(\d{4})(?:-(\d{4}))?", re.ASCII)
_JENKINS = re.compile(r"H(?:\((\d{1,2})-(\d{1,2})\))?(?:/(\d{1,2}))?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignCron:
    """An expression that is being translated."""

    second: str | None
    five: tuple[str, ...]
    """Minute, hour, day, month, weekday."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """Further keys of the schedule, such as `start` or `spread`."""
    premise: str = ""
    """An assumption of the translation, for people: "in Quartz 1 is Sunday"."""

    @property
    def expression(self) -> str:
        """The expression, of 5 or 6 fields."""
        return " ".join([self.second, *self.five] if self.second is not None else self.five)


def read_fields(fields: list[str]) -> ForeignCron | None:
    """Read the fields of an expression of any scheduler.

    Returns None if no expression of Runner has exactly the same meaning.

    >>> read_fields("0 0 22-4 ? * 2-6 2030".split()).expression
    '0 0 22-23,0-4 * * MON-FRI'
    """
    cron = _laid_out(fields)
    for rewrite in _REWRITES:
        cron = cron and rewrite(cron)
    return cron


def _laid_out(fields: list[str]) -> ForeignCron | None:
    """Assign the texts to fields: Quartz has seconds first, AWS and yacron may end with a year."""
    # Quartz and AWS write `?` in one of the two day fields. With 6 texts, its place shows
    # whether the first text is the seconds (Quartz) or the last one the year (AWS).
    marks = {place for place, text in enumerate(fields) if text == "?"}
    match len(fields):
        case 5:
            return ForeignCron(second=None, five=_starred(fields))
        case 6 if marks and marks <= {3, 5}:
            return _counted_from_sunday(
                ForeignCron(second=fields[0], five=tuple(fields[1:])), "Quartz"
            )
        case 6 if marks and marks <= {2, 4}:
            return _bounded(
                _counted_from_sunday(ForeignCron(second=None, five=tuple(fields[:5])), "AWS"),
                fields[5],
            )
        case 6 if _YEARS.fullmatch(fields[5]):
            return _bounded(ForeignCron(second=None, five=_starred(fields[:5])), fields[5])
        case 6:
            return ForeignCron(second=fields[0], five=_starred(fields[1:]))
        case 7 if marks:
            return _bounded(
                _counted_from_sunday(
                    ForeignCron(second=fields[0], five=tuple(fields[1:6])), "Quartz"
                ),
                fields[6],
            )
        case 7:
            return _bounded(ForeignCron(second=fields[0], five=tuple(fields[1:6])), fields[6])
    return None


def _starred(fields: list[str]) -> tuple[str, ...]:
    return tuple(
        "*" if place in {2, 4} and text == "?" else text for place, text in enumerate(fields)
    )


def _counted_from_sunday(cron: ForeignCron, where: str) -> ForeignCron | None:
    """Replace the weekday numbers of a scheduler whose Sunday is 1 by names."""
    weekday = cron.five[4]
    terms = [_named_from_sunday(term) for term in weekday.split(",")] if weekday != "?" else ["*"]
    if None in terms:
        return None
    named = ",".join(filter(None, terms))
    premise = f"in {where} 1 is Sunday" if re.search(r"(?<![#/\d])\d", weekday) else ""
    return replace(cron, five=(*_starred(list(cron.five))[:4], named), premise=premise)


def _named_from_sunday(term: str) -> str | None:
    term = term.upper()
    if term == "L":
        return "SAT"
    if place := re.fullmatch(r"([A-Z]{3}|[1-7])(L|#[1-5])", term, re.ASCII):
        number = _number_from_sunday(place[1])
        return None if number is None else f"{number}{place[2]}"
    match = re.fullmatch(r"(\*|[A-Z]+|[1-7])(?:-([A-Z]+|[1-7]))?(/\d)?", term, re.ASCII)
    if not match:
        return None
    if match[1] == "*":
        return term
    names = [_name_from_sunday(text) for text in match.group(1, 2) if text]
    if not match[3]:
        return "-".join(names)
    first, last = _number_from_sunday(match[1]), _number_from_sunday(match[2] or "7")
    step = int(match[3][1:])
    if first is None or last is None or not step:
        return None
    size = (last - first) % 7
    return ",".join(
        _NUMBERED_FROM_SUNDAY[(first + number) % 7] for number in range(0, size + 1, step)
    )


def _name_from_sunday(text: str) -> str:
    return _NUMBERED_FROM_SUNDAY[int(text) - 1] if text.isdigit() else text


def _number_from_sunday(text: str) -> int | None:
    return WEEKDAY.number(_name_from_sunday(text))


def _bounded(cron: ForeignCron | None, years: str) -> ForeignCron | None:
    """Turn the years of an expression into `start` and `finish`."""
    if cron is None or years == "*":
        return cron
    match = _YEARS.fullmatch(years)
    if not match or int(match[1]) < 1970 or int(match[2] or match[1]) < int(match[1]):
        return None
    bounds = {"start": f"{match[1]}-01-01", "finish": f"{match[2] or match[1]}-12-31"}
    return replace(cron, beside={**cron.beside, **bounds})


def _unhashed(cron: ForeignCron) -> ForeignCron | None:
    """Replace Jenkins' `H` by the first number of its range and a spread over the range.

    `H` means a stable number that depends on the name. If the hour is `H`, the minute must
    be `H` too; otherwise the spread would also move the minute.
    """
    matches = [_JENKINS.fullmatch(text) for text in cron.five]
    if not any(matches):
        return cron
    minute, hour, *others = matches
    if any(others) or not minute or (hour and cron.five[0] != "H") or cron.second:
        return None
    texts, spread = list(cron.five), timedelta()
    for place, (match, cron_field, unit) in enumerate(
        ((minute, MINUTE, timedelta(minutes=1)), (hour, HOUR, timedelta(hours=1)))
    ):
        if match is None:
            continue
        first, last = int(match[1] or cron_field.low), int(match[2] or cron_field.high)
        whole = not match[1]
        step = int(match[3] or 0)
        if last < first or (step and not whole):
            return None
        texts[place] = f"*/{step}" if step else str(first)
        spread = unit * (step or last - first + 1)
    return replace(cron, five=tuple(texts), beside={**cron.beside, "spread": _duration(spread)})


def _duration(duration: timedelta) -> str:
    hours, rest = divmod(duration, timedelta(hours=1))
    return f"{hours}h" if not rest else f"{duration // timedelta(minutes=1)}m"


def spelled(cron: ForeignCron) -> ForeignCron:
    """Spell the names of days and months as Runner does, and split ranges that wrap around.

    `FRI-MON` becomes `FRI-SAT,SUN-MON`.
    """
    fields = zip(cron.five, layout(list(cron.five)), strict=True)
    return replace(
        cron, five=tuple(_spelled_field(text, cron_field) for text, cron_field in fields)
    )


def _spelled_field(text: str, cron_field: CronField) -> str:
    names = _FULL_NAMES.get(cron_field, {})
    text = re.sub(r"[A-Za-z]+", lambda word: names.get(word[0].upper(), word[0]), text)
    return ",".join(_spelled_term(term, cron_field) for term in text.split(","))


def _spelled_term(term: str, cron_field: CronField) -> str:
    if cron_field is WEEKDAY and (
        place := re.fullmatch(r"(?i)([a-z]{3})L|L([0-7])", term, re.ASCII)
    ):
        number = WEEKDAY.number(place[1] or place[2])
        return term if number is None else f"{number}L"
    match = re.fullmatch(r"(\w+)-(\w+)(?:/(\d{1,2}))?", term, re.ASCII)
    first, last = (cron_field.number(text) for text in match.group(1, 2)) if match else (None, None)
    if match is None or first is None or last is None or first <= last:
        return term
    highest = 6 if cron_field is WEEKDAY else cron_field.high
    if first > highest:
        return (
            term if match[3] else (f"{match[1]},{_run('1', 1, match[2], last)}" if last else term)
        )
    if match[3]:
        step, size = int(match[3]), highest - cron_field.low + 1
        if not step:
            return term
        numbers = range(first, last + size + 1, step)
        return ",".join(
            str(cron_field.low + (number - cron_field.low) % size) for number in numbers
        )
    words = (
        {number: word for word, number in cron_field.words.items()} if match[1].isalpha() else {}
    )
    end, begin = words.get(highest, str(highest)), words.get(cron_field.low, str(cron_field.low))
    return f"{_run(match[1], first, end, highest)},{_run(begin, cron_field.low, match[2], last)}"


def _run(first_text: str, first: int, last_text: str, last: int) -> str:
    return first_text if first == last else f"{first_text}-{last_text}"


_REWRITES: tuple[Callable[[ForeignCron], ForeignCron | None], ...] = (_unhashed, spelled)
