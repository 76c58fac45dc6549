"""What `explain` explains: an expression typed on the command line, or requests and
members of groups by name. Reads the files and the store.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime

from runner.access.loading import load
from runner.access.places import Places
from runner.access.shown.request_subject import Subject, request_subject, zone_of
from runner.access.troubles import report_trouble
from runner.cli.access.selecting import selected_requests
from runner.cli.arguments.expressions import is_expression, timing_from
from runner.cli.arguments.selection import Selection
from runner.errors import UsageError
from runner.monitor.names import path_of
from runner.planning.moved_fires import words_of_move
from runner.planning.reasons.explanation import of_expression
from runner.planning.reasons.why_no_fire import nowhere
from runner.planning.views.cautions import cautions
from runner.requests.model import (
    RunImmediately,
    RunLater,
    Schedule,
    Timing,
)
from runner.timing.upcoming import fires

_LEAST_FIELDS = 5


def subjects_of(selection: Selection, places: Places) -> list[Subject]:
    """Return what is explained: the expression, or the named and selected requests."""
    if selection.is_empty:
        raise UsageError("give an expression, the names of requests, or a selection")
    names = selection.names
    if any(is_expression(path_of(name)) for name in names) or _is_unquoted(names):
        if len(names) > 1:
            raise UsageError(f"put the expression in quotes: {shlex.quote(' '.join(names))}")
        if selection.has_conditions:
            raise UsageError("an expression has no label, owner, status or result")
        return [_expression(names[0], places)]
    loaded = load(places)
    report_trouble(places, loaded)
    if not selection.is_by_name:
        names = tuple(selected_requests(loaded, selection))
    return [request_subject(name, loaded, places) for name in names]


def _is_unquoted(names: tuple[str, ...]) -> bool:
    """Return whether arguments look like the fields of a cron expression without quotes.

    The shell may have replaced each `*` by the names of files.
    """
    return len(names) >= _LEAST_FIELDS and not any(map(str.isalpha, names[0]))


def _expression(text: str, places: Places) -> Subject:
    """Return the subject for an expression, which has no state and no history."""
    zone = places.own_zone if places.given_zone else places.zone
    timing, now = timing_from(text, zone=zone), datetime.now(UTC)
    zone = zone_of(timing, places)
    return Subject(
        about={"expression": text},
        timing=timing,
        zone=zone,
        now=now,
        coming=_fires(timing, now),
        why=lambda at: of_expression(timing, at, zone),
        moved=lambda fire: words_of_move(timing, fire, nowhere),
        cautions=cautions(timing, now),
    )


def _fires(timing: Timing, now: datetime) -> Iterator[datetime]:
    """Yield the fires of a timing from `now` on, as if it were registered now."""
    match timing:
        case RunImmediately():
            return iter((now,))
        case RunLater(start=start):
            return iter((start,) if start >= now else ())
        case Schedule(rule=rule):
            return fires(rule, now)
