"""Dates on which a schedule does not fire, from a list or from a file of them. Pure."""

from __future__ import annotations

import re
from datetime import date

from runner.errors import Problem
from runner.requests.findings import MOST_FINDINGS, plain
from runner.requests.yaml.unreadable import UnreadableError, decoded

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def parse_date(text: str) -> date:
    """Parse an ISO date such as `2026-12-25`.

    Raises ValueError with a message for users.
    """
    if not _DATE.fullmatch(text):
        raise ValueError(f'"{plain(text)}" is not a date; write it like 2026-12-25')
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"there is no {text} in the calendar") from None


def dates_in(raw: bytes, file: str) -> tuple[frozenset[date], tuple[Problem, ...]]:
    """Read one date per line; `#` begins a comment.

    Each problem names its line of `file`; reading stops after `MOST_FINDINGS` of them.
    """
    try:
        lines = decoded(raw).splitlines()
    except UnreadableError as error:
        problem = Problem(
            file=file,
            line=error.spot.line,
            column=error.spot.column,
            path="",
            message=str(error),
            suggestion=error.suggestion,
        )
        return frozenset(), (problem,)
    dates: set[date] = set()
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        try:
            if text:
                dates.add(parse_date(text))
        except ValueError as error:
            column = line.index(text) + 1
            problems.append(
                Problem(file=file, line=number, column=column, path="", message=str(error))
            )
            if len(problems) == MOST_FINDINGS:
                break
    return frozenset(dates), tuple(problems)
