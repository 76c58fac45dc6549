"""Warn about surprises of a valid request: those of its timing, and of its files of dates. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from typing import Any

from runner.planning.views.cautions import AHEAD, Caution, CautionKind, cautions
from runner.requests.building.request import (
    RequestDraft,
    built,
    draft_from,
    queues_named_in,
)
from runner.requests.dates import dates_of
from runner.requests.model import DEFAULT_QUEUE, Outline, Schedule, Source, Timing
from runner.requests.policies import Retention
from runner.timing.moves import destination
from runner.timing.rules import Rule
from runner.timing.upcoming import fires
from runner.timing.zones import wall_at, zone_named
from runner.values import duration_text, neutral

ENDS_SOON = timedelta(days=60)
_MOST_LOOKED_AT = 1000  # fires


def request_cautions(request: Outline, now: datetime) -> list[Caution]:
    """Return the warnings about a request for its author, as of `now`."""
    found = [*_of_timing(request.timing, now)]
    found += [
        Caution(kind=CautionKind.CALENDAR_ENDS, message=_ending_words(file, last))
        for file, last in calendars_that_end(request, now)
    ]
    if isinstance(request.timing, Schedule):
        found += _of_drops(request.timing.rule, now)
    return [*found, *_of_retention(request.retention)]


def queue_caution(request: Outline) -> Caution | None:
    """Return the warning about the queues of a request whose runner belongs to no fleet."""
    definition = request.source.definition
    named = sorted(queues_named_in(definition) - {DEFAULT_QUEUE})
    if not named:
        return None
    message = f"`queue: {named[0]}` has no effect: this runner itself runs every queue"
    return Caution(kind=CautionKind.QUEUE, message=message)


def document_cautions(
    data: Mapping[str, Any], name: str, default_zone: str, now: datetime
) -> list[Caution]:
    """Return the warnings about a document that no file holds yet; none if it is invalid."""
    source = Source(file=name, line=1, sha256="")
    draft = RequestDraft(data=data, name=name, folder="/", source=source)
    request, _ = built(draft, default_zone=default_zone)
    return request_cautions(request, now) if request else []


@lru_cache(maxsize=1 << 12)  # many requests share a timing
def _of_timing(timing: Timing | None, now: datetime) -> tuple[Caution, ...]:
    return tuple(cautions(timing, now))


def calendars_that_end(request: Outline, now: datetime) -> Iterator[tuple[str, date]]:
    """Yield the files of dates of a request that end within 60 days, with their last dates.

    A file with a date of every year has no end.
    """
    timing = request.timing
    if not isinstance(timing, Schedule) or not timing.rule.has_calendar:
        return
    if not request.source.definition:
        return
    today = wall_at(now, zone_named(timing.rule.zone)).date()
    for files in draft_from(request.source.definition).dates.values():
        for file, text in files.items():
            dates = dates_of(text)
            if dates.days and not dates.yearly and (last := max(dates.days)) < today + ENDS_SOON:
                yield neutral(file), last


def _of_retention(retention: Retention) -> Iterator[Caution]:
    """Warn of failures that should go sooner than successes: they stay as long."""
    others, failures = retention.keep_for, retention.failures_keep_for
    if others is not None and failures is not None and failures < others:
        spans = f"{duration_text(failures)} is shorter than `keep_for`, {duration_text(others)}"
        message = f"`failures_keep_for` has no effect: {spans}"
        yield Caution(kind=CautionKind.RETENTION, message=message)


def _ending_words(file: str, last: date) -> str:
    return f"the dates of {file} end on {last}: add those of the next year"


def _of_drops(rule: Rule, now: datetime) -> Iterator[Caution]:
    """Warn of the first fire of the next year that finds no free date to move to."""
    if not rule.moves or not rule.excepted:
        return
    coming = takewhile(lambda fire: fire < now + AHEAD, fires(rule.by_pattern, now))
    for fire in islice(coming, _MOST_LOOKED_AT):
        day = wall_at(fire, zone_named(rule.zone)).date()
        if (rule.only is None or day in rule.only) and destination(rule, fire) is None:
            message = f"the fire of {day} is dropped: no date within 366 days is free"
            yield Caution(kind=CautionKind.DROPPED, message=message)
            return
