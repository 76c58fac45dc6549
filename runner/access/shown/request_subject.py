"""A request, or a member of its group, as `explain` and the page explain it. Reads the
monitor log when asked about an instant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from runner.access.loading import Loaded
from runner.access.past import history, past_alerts
from runner.access.places import Places
from runner.errors import UsageError
from runner.monitor.names import is_called, shown_name
from runner.planning.coming_fires import coming_fires, standing
from runner.planning.fires.firing import delay_of
from runner.planning.moved_fires import moved_words
from runner.planning.reasons.explanation import why
from runner.planning.reasons.fire_query import FireQuery, paused_reason, unscheduled_words
from runner.planning.reasons.why_no_fire import Explanation
from runner.planning.views.cautions import Caution
from runner.planning.views.request_cautions import request_cautions
from runner.planning.words.retention_words import retention_words
from runner.requests.model import (
    Group,
    Process,
    ProcessRequest,
    Reference,
    RunLater,
    Schedule,
    Timing,
)
from runner.requests.policies import NO_RETENTION


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


def request_subject(name: str, loaded: Loaded, places: Places) -> Subject:
    """Return the subject for the name of a request or of a group's member."""
    name, member = _membership(name, loaded)
    request, state = loaded.request(name), loaded.states.get(name)
    stands = standing(request, state, loaded.now)
    zone = zone_of(request.timing, places)

    def answer(at: datetime) -> Explanation:
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


def zone_of(timing: Timing | None, places: Places) -> str:
    """Return the zone whose wall time a timing uses."""
    match timing:
        case RunLater(zone=zone):
            return zone
        case Schedule(rule=rule):
            return rule.zone
        case _:
            return places.zone
