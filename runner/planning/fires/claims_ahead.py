"""Decide which fires are claimed a few milliseconds ahead, and which of them start. Pure.

A commit takes some milliseconds. A claim that is committed ahead of its time has only to
be started when the time comes.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from runner.lifecycle import RequestStatus
from runner.planning.fires.firing import due_at
from runner.planning.states.pauses import NOT_HELD, Held
from runner.planning.states.state import RequestState
from runner.requests.model import Outline

AHEAD = timedelta(milliseconds=5)
"""How long before its time a fire may be claimed."""


def claimable_at(request: Outline, state: RequestState, held: Held = NOT_HELD) -> datetime | None:
    """Return when the pending fire of a request may be claimed; None without one.

    A fire that a pause held is not claimed ahead of the end of the pause.
    """
    due = due_at(request, state, held)
    return due if due is None or due == held.until else due - AHEAD


def verdict_at(
    request: Outline, state: RequestState, now: datetime, held: Held = NOT_HELD
) -> datetime:
    """Return the instant at which a verdict at `now` looks: `now`, or just ahead of it.

    Only a fire that would be on time is claimed ahead, and only while nothing is due: a
    due fire runs now, and must not count as missed because of the next one.
    """
    due = due_at(request, state, held)
    return due if due is not None and now < due <= now + AHEAD else now


def may_still_start(state: RequestState, generation: int | None) -> bool:
    """Return whether a fire that was claimed ahead in `generation` may start at its time.

    It may not if the request was unscheduled, removed or planned anew since the claim. A
    renamed request goes on. A pause holds only fires without a claim: it must not lose a
    one-time fire, and a claim is never taken back.
    """
    if state.renamed_to is not None:
        return True
    is_planned = state.status not in (RequestStatus.UNSCHEDULED, RequestStatus.DEFINITION)
    return is_planned and state.generation == generation
