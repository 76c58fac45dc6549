"""Say in words which fires a calendar moved, and which entry excepts their dates. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

from runner.requests.building.request import draft_from
from runner.requests.dates import lines_of, parse_entry
from runner.requests.model import Outline, Schedule, Timing
from runner.timing.moves import origins
from runner.timing.rules import Rule
from runner.values import counted, neutral

_MOST_NAMED = 2


def moved_words(request: Outline, fire: datetime) -> str | None:
    """Return from where a fire moved: "moved from 2026-12-31, excepted by holidays.txt:14".

    None for a fire that stays on its date.
    """
    return words_of_move(request.timing, fire, lambda day: excepting_line(request, day))


def words_of_move(
    timing: Timing | None, fire: datetime, where: Callable[[date], str | None]
) -> str | None:
    """Return `moved_words` of a timing; `where` names the line that excepts a date."""
    if not isinstance(timing, Schedule) or not (days := origins(timing.rule, fire)):
        return None
    named = [_origin_words(timing.rule, day, where) for day in days[-_MOST_NAMED:]]
    if more := len(days) - len(named):
        named.insert(0, counted(more, "earlier date"))
    return f"moved from {' and '.join(named)}"


def _origin_words(rule: Rule, day: date, where: Callable[[date], str | None]) -> str:
    if day not in rule.excepted:
        return f"{day}, a {day:%A}"
    place = where(day)
    return f"{day}, excepted by {place}" if place else f"{day}, an excepted date"


def excepting_line(request: Outline, day: date) -> str | None:
    """Return the line of a file that excepts a date, such as "holidays.txt:14", if one does."""
    if not request.source.definition:
        return None
    for file, text in draft_from(request.source.definition).dates.get("except", {}).items():
        for line in lines_of(text):
            if day in parse_entry(line.entry):
                return f"{neutral(file)}:{line.number}"
    return None
