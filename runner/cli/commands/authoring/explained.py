"""What `explain` explains: an expression typed on the command line, or requests and
members of groups by name. Reads the files and the store.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from runner.access.loading import Loaded, load
from runner.access.places import Places
from runner.access.troubles import report_trouble
from runner.cli.access.selecting import selected_requests
from runner.cli.arguments.expressions import is_expression, timing_from
from runner.cli.arguments.selection import Selection
from runner.errors import UsageError
from runner.monitor.names import is_called, path_of, shown_name
from runner.planning.coming_fires import coming_fires, standing
from runner.planning.fires.firing import delay_of
from runner.planning.moved_fires import moved_words, words_of_move
from runner.planning.reasons.explanation import of_expression, why
from runner.planning.reasons.fire_query import FireQuery, paused_reason, unscheduled_words
from runner.planning.reasons.why_no_fire import Explanation, nowhere
from runner.planning.views.cautions import Caution, cautions
from runner.planning.views.request_cautions import request_cautions
from runner.planning.words.retention_words import retention_words
from runner.requests.model import (
    NO_RETENTION,
    Group,
    Process,
    ProcessRequest,
    Reference,
    RunImmediately,
    RunLater,
    Schedule,
    Timing,
)
from runner.timing.upcoming import fires

_LEAST_FIELDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is explained. `about` identifies it and its status, as JSON fields. `coming`
    yields its fires from `now` on. `why` explains one instant, and `moved` says from where
    the calendar moved a fire.
    """

    about: dict[str, Any]
    timing: Timing | None
    zone: str
    now: datetime
    coming: Iterator[datetime]
    why: Callable[[datetime], Explanation]
    moved: Callable[[datetime], str | None]
    cautions: list[Caution]


_LAST_GOOD = "by the last good version; its file is invalid (`runner validate`)"


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
    return [_named(name, loaded, places) for name in names]


def _is_unquoted(names: tuple[str, ...]) -> bool:
    """Return whether arguments look like the fields of a cron expression without quotes.

    The shell may have replaced each `*` by the names of files.
    """
    return len(names) >= _LEAST_FIELDS and not any(map(str.isalpha, names[0]))


def _expression(text: str, places: Places) -> Subject:
    """Return the subject for an expression, which has no state and no history."""
    zone = places.own_zone if places.given_zone else places.zone
    timing, now = timing_from(text, zone=zone), datetime.now(UTC)
    zone = _zone(timing, places)
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


def _named(name: str, loaded: Loaded, places: Places) -> Subject:
    """Return the subject for the name of a request or of a group's member."""
    name, member = _membership(name, loaded)
    request, state = loaded.request(name), loaded.states.get(name)
    stands = standing(request, state, loaded.now)
    zone = _zone(request.timing, places)

    def answer(at: datetime) -> Explanation:
        from runner.access.past import history, past_alerts

        past = history(places, loaded, name, at, member=member)
        explanation = why(
            FireQuery(
                request=request,
                state=state,
                at=at,
                now=loaded.now,
                history=past,
                zone=zone,
                pauses=loaded.pauses,
            )
        )
        executions = {run.execution for run in explanation.runs}
        found = past_alerts(places, loaded, name, at, executions)
        return replace(explanation, alerts=found)

    return Subject(
        about={
            "request": name,
            **({"member": member} if member else {}),
            "status": str(stands.status),
            "message": unscheduled_words(stands, zone)
            or _paused_words(loaded, request, zone)
            or (_LAST_GOOD if name in loaded.in_force.kept else None),
            "delay_s": delay_of(request).total_seconds(),
            "retention": retention_words(request.retention.over(places.settings.retention))
            if request.retention != NO_RETENTION
            else None,
        },
        timing=request.timing,
        zone=zone,
        now=loaded.now,
        coming=coming_fires(request, stands, loaded.now, loaded.pauses.held(request)),
        why=answer,
        moved=lambda fire: moved_words(request, fire),
        cautions=request_cautions(request, loaded.now),
    )


def _paused_words(loaded: Loaded, request: ProcessRequest, zone: str) -> str | None:
    """Return which pause holds the fires of a request now; None if none does."""
    pausing = loaded.pauses.at(loaded.now, request)
    return paused_reason(pausing[-1], zone).message if pausing else None


def _membership(name: str, loaded: Loaded) -> tuple[str, str | None]:
    """Return the request that a name means, and the member of its group if it is a
    member's name.

    Raises UsageError if members of several groups have that name.
    """
    requests = loaded.in_force.requests
    if name in requests:
        return name, None
    found = {
        request: member
        for request, process in ((each.name, each.process) for each in requests.values())
        for member in _members(process)
        if is_called(name, request, member, is_member=True)
    }
    if len(found) > 1:
        shown = (shown_name(request, member, is_member=True) for request, member in found.items())
        raise UsageError(f"{name!r} is ambiguous: {', '.join(shown)}")
    for request, member in found.items():
        return request, member.removeprefix(f"{request}/")
    return name, None


def _members(process: Process) -> Iterator[str]:
    """Yield the names of a group's members."""
    if isinstance(process.action, Group):
        for member in process.action.members:
            yield member.action.request if isinstance(member.action, Reference) else member.name


def _zone(timing: Timing | None, places: Places) -> str:
    """Return the zone whose wall time a timing uses."""
    match timing:
        case RunLater(zone=zone):
            return zone
        case Schedule(rule=rule):
            return rule.zone
        case _:
            return places.zone
