"""The dates of `except` and `only`: as a request writes them, and in files of dates. Pure.

An entry is a date, `2026-12-25`, a span of dates, `2026-12-24..2026-12-26`, or a date of
every year, `*-12-25`. A file has one a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from runner.errors import Problem
from runner.requests.findings import MOST_FINDINGS, DataPath, plain
from runner.requests.yaml.unreadable import UnreadableError, decoded
from runner.timing.calendars import Dates, union

KEYS = ("except", "only")
"""The keys of a schedule that hold dates."""
MOST_DATES = 100_000
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_YEARLY = re.compile(r"\*-(\d{2})-(\d{2})", re.ASCII)
_LIKE_AN_ENTRY = re.compile(r"[\d*][\d*/., :_-]*", re.ASCII)
_A_LEAP_YEAR = 2024
_NONE_HINT = "write its dates, or a comment such as `# none`"


def is_entry(text: str) -> bool:
    """Return whether a text is meant as an entry: it has no letter, as the path of a file has."""
    return _LIKE_AN_ENTRY.fullmatch(text) is not None


@lru_cache(maxsize=1 << 12)
def parse_entry(text: str) -> Dates:
    """Parse an entry. Raises ValueError with a message for users."""
    if match := _YEARLY.fullmatch(text):
        return Dates(yearly=frozenset({_yearly(text, int(match[1]), int(match[2]))}))
    first_text, dots, last_text = (part.strip() for part in text.partition(".."))
    first = _date(first_text, text)
    last = _date(last_text, text) if dots else first
    if last < first:
        raise ValueError(f"{plain(text)} ends before it begins")
    length = (last - first).days + 1
    if length > MOST_DATES:
        raise ValueError(f"{plain(text)} spans more than {MOST_DATES:,} dates")
    return Dates(days=frozenset(first + timedelta(offset) for offset in range(length)))


def _date(text: str, entry: str) -> date:
    if not _DATE.fullmatch(text):
        raise ValueError(
            f'"{plain(entry)}" is not a date; '
            "write it like 2026-12-25, 2026-12-24..2026-12-26 or *-12-25"
        )
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"there is no {text} in the calendar") from None


def _yearly(text: str, month: int, day: int) -> tuple[int, int]:
    try:
        date(_A_LEAP_YEAR, month, day)
    except ValueError:
        raise ValueError(f"there is no {text[2:]} in any year") from None
    return month, day


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An entry and its line in a file, which counts from 1."""

    number: int
    entry: str


@lru_cache(maxsize=256)  # many requests share a file
def lines_of(text: str) -> tuple[Line, ...]:
    """Return the entries of a text of `entries_in`."""
    split = (each.split(" ", 1) for each in text.splitlines())
    return tuple(Line(number=int(number), entry=entry) for number, entry in split)


@lru_cache(maxsize=256)
def dates_of(text: str) -> Dates:
    """Return the dates of a text of `entries_in`. Raises ValueError for any other text."""
    return union(parse_entry(line.entry) for line in lines_of(text))


@lru_cache(maxsize=16)  # many requests share a file
def entries_in(raw: bytes, file: str) -> tuple[str, tuple[Problem, ...]]:
    """Read one entry per line; `#` begins a comment.

    Returns each entry behind the number of its line, one a line, for the store. Each problem
    names its place in `file`; reading stops after `MOST_FINDINGS` of them. A blank file is a
    problem: a shell that redirects into it empties it first, and all dates would fire.
    """
    if not raw.strip():
        return "", (_problem(file, 1, 1, ValueError("the file is empty"), _NONE_HINT),)
    try:
        lines = decoded(raw).splitlines()
    except UnreadableError as error:
        return "", (_problem(file, error.spot.line, error.spot.column, error, error.suggestion),)
    entries: list[str] = []
    problems: list[Problem] = []
    count = 0
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            count += len(parse_entry(text))
            if count > MOST_DATES:
                raise ValueError(f"more than {MOST_DATES:,} dates in one file")
            entries.append(f"{number} {text}")
        except ValueError as error:
            problems.append(_problem(file, number, line.index(text) + 1, error))
            if len(problems) == MOST_FINDINGS or count > MOST_DATES:
                break
    return "\n".join(entries), tuple(problems)


def _problem(
    file: str, line: int, column: int, error: Exception, suggestion: str | None = None
) -> Problem:
    return Problem(
        file=file, line=line, column=column, path="", message=str(error), suggestion=suggestion
    )


def listed_in(value: object) -> tuple[tuple[int | None, str], ...]:
    """Return the texts in the value of an `except` or `only`, with their index in a list."""
    if isinstance(value, list):
        return tuple((index, text) for index, text in enumerate(value) if isinstance(text, str))
    return ((None, value),) if isinstance(value, str) else ()


def files_named(timing: object, at: DataPath) -> Iterator[tuple[str, str, DataPath]]:
    """Yield the files that a mapping of a timing names: the key, the path as written, and where.

    `at` is the mapping's own place in its document.
    """
    for key in KEYS:
        value = timing.get(key) if isinstance(timing, dict) else None
        for index, text in listed_in(value):
            if text and not is_entry(text):
                yield key, text, (*at, key) if index is None else (*at, key, index)
