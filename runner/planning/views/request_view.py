"""Show a request to a person: its status, its drift from the file, its next fire. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from runner.lifecycle import INVALID, RequestStatus
from runner.planning.coming_fires import Standings, coming_fires
from runner.planning.difference import changed_fields
from runner.planning.fires.firing import pending_fire
from runner.planning.last_good import InForce
from runner.planning.states.pauses import NO_PAUSES, NOT_HELD, Held, Pause, Pauses
from runner.planning.states.state import RequestState
from runner.planning.transitions.failures_in_a_row import stop_words
from runner.requests.catalog.cached_requests import outlines_of
from runner.requests.catalog.catalog import Rejection
from runner.requests.model import Outline, ProcessRequest
from runner.values import instant_text

IN_SYNC, DRIFTED, NEW, KEPT = "in sync", "drifted", "new", "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestView:
    """A request as commands show it."""

    name: str
    file: str
    status: str
    """A RequestStatus, or "invalid"."""
    request: Outline | None
    """None if the request has no good version."""
    state: RequestState | None
    """The state in force; for a new request, the state that its file will give it."""
    next_fire: datetime | None
    """The first fire time, without spread, that can still fire by the present file."""
    drift: str | None
    """How the state differs from the present file."""
    rejection: Rejection | None
    is_new: bool = False
    """Whether no runner has seen the request yet."""
    is_kept: bool = False
    """Whether the last good version stays active because the jobs folder shows no files."""
    pause: Pause | None = None
    """The latest pause that holds its fires now."""
    reopened_until: datetime | None = None
    """Fires ahead, up to this time, had a verdict before the clock went back."""

    @property
    def sync(self) -> str:
        """How the state in force relates to the file: "in sync", "drifted", "invalid", "new", or
        "kept" while the jobs folder shows no files.
        """
        if self.rejection is not None:
            return INVALID
        if self.is_kept:
            return KEPT
        return NEW if self.is_new else DRIFTED if self.drift else IN_SYNC


def views(
    in_force: InForce,
    rejections: Iterable[Rejection],
    states: Mapping[str, RequestState],
    now: datetime,
    *,
    supplied: Mapping[str, ProcessRequest] | None = None,
    pauses: Pauses = NO_PAUSES,
    among: AbstractSet[str] | None = None,
) -> list[RequestView]:
    """Return all requests in force, and all rejected documents without a good version.

    They are sorted by name. `supplied`, if known, are the requests as the runner has them.
    With `among`, return only those with these names.
    """
    is_kept, requests = in_force.is_kept_whole, in_force.requests
    outlines, former = outlines_of(requests), outlines_of(supplied or {})
    found, standings = [], Standings(now)
    for name in outlines if among is None else among & outlines.keys():
        outline, known = outlines[name], former.get(name)
        is_same = known is None or known is outline
        found.append(
            _view(
                outline,
                states.get(name),
                standings.of(outline, states.get(name)),
                in_force.kept.get(name),
                now,
                () if is_same else _changed(name, supplied, requests),
                is_kept=is_kept,
                pauses=pauses,
            )
        )
    found += [
        _without_good_version(name, rejection, states.get(name))
        for name, rejection in _lost(in_force, rejections)
        if among is None or name in among
    ]
    return sorted(found, key=lambda view: (view.name, view.file))


def _lost(in_force: InForce, rejections: Iterable[Rejection]) -> Iterator[tuple[str, Rejection]]:
    """Yield the names of requests without a good version, with the rejection of their
    document; "" stands for a document whose names are unknown.
    """
    with_good_version = set(map(id, in_force.kept.values()))
    for rejection in rejections:
        lost = sorted(rejection.names - in_force.requests.keys())
        for name in lost or ([] if id(rejection) in with_good_version else [""]):
            yield name, rejection


def _changed(
    name: str,
    former: Mapping[str, ProcessRequest] | None,
    requests: Mapping[str, ProcessRequest],
) -> tuple[str, ...]:
    return changed_fields(former[name], requests[name]) if former else ()


def _view(
    request: Outline,
    state: RequestState | None,
    stands: RequestState,
    rejection: Rejection | None,
    now: datetime,
    changed: tuple[str, ...],
    *,
    is_kept: bool,
    pauses: Pauses,
) -> RequestView:
    pausing = pauses.at(now, request)
    return RequestView(
        name=request.name,
        file=request.file,
        status=INVALID if rejection else str((state or stands).status),
        request=request,
        state=state or stands,
        next_fire=_next_fire(request, stands, now, pauses.held(request) if pausing else NOT_HELD),
        drift=_drift(state, stands, changed),
        rejection=rejection,
        is_new=state is None,
        is_kept=is_kept,
        pause=pausing[-1] if pausing else None,
        reopened_until=stands.furthest_verdict if _has_verdicts_ahead(stands, now) else None,
    )


def _next_fire(request: Outline, state: RequestState, now: datetime, held: Held) -> datetime | None:
    """Return the first fire that can still run, even if it is due already."""
    if state.status is not RequestStatus.SCHEDULED:
        return None
    if held is NOT_HELD:
        return pending_fire(request, state)
    return next(coming_fires(request, state, now, held), None)


def _has_verdicts_ahead(state: RequestState, now: datetime) -> bool:
    verdict = state.furthest_verdict
    return state.status is RequestStatus.SCHEDULED and verdict is not None and verdict > now


def _without_good_version(
    name: str, rejection: Rejection, state: RequestState | None
) -> RequestView:
    return RequestView(
        name=name,
        file=rejection.file,
        status=INVALID,
        request=None,
        state=state,
        next_fire=None,
        drift=None,
        rejection=rejection,
    )


def _drift(
    state: RequestState | None, stands: RequestState, changed: tuple[str, ...]
) -> str | None:
    """Describe how a state differs from the file; None if it does not.

    `stands` is the state that the present file would give. `changed` are the fields in
    which the file differs from the request as the runner has it.
    """
    if state is None:
        return None
    if stands.override is not None:
        word = _pressed(stands) if stands.override else "unscheduled"
        at = (
            instant_text(stands.override_at)[:19] + "Z" if stands.override_at else "an unknown time"
        )
        how = stop_words(stands) if stands.is_stopped_by_failures else f"by {stands.override_by}"
        return f"{word} {how} at {at}, the file says otherwise"
    if changed:
        return f"the file's change is not live yet ({', '.join(changed)})"
    return "the file's change is not live yet" if stands != state else None


def _pressed(state: RequestState) -> str:
    """Name the button that a person pressed against the file.

    Name both buttons if a later change hides which one it was.
    """
    if state.override_at is None or state.since > state.override_at:
        return "scheduled or rescheduled"
    return "rescheduled" if state.counted_from == state.override_at else "scheduled"
