"""Find the due fires that lose their verdict because the state of their request changes. Pure."""

from __future__ import annotations

from datetime import datetime

from runner.lifecycle import RequestStatus
from runner.planning.fires.due_fires import without_verdict
from runner.planning.fires.firing import (
    Miss,
    delay_of,
    due_at,
    had_verdict,
    miss_of,
    one_time_fire,
    with_verdict_through,
)
from runner.planning.states.state import RequestState
from runner.requests.model import Outline, RunImmediately, RunLater, Schedule


def abandoned(
    request: Outline, before: RequestState, changed: RequestState, now: datetime
) -> Miss | None:
    """Return the due fires that would lose their verdict by a change of state: they are missed.

    `request` is the definition in force until `now`. Unscheduling alone does not make a
    run-immediately miss its fire: it runs when it is scheduled again.
    """
    is_planned_anew = changed.generation != before.generation
    is_kept = changed.status is RequestStatus.SCHEDULED or isinstance(
        request.timing, RunImmediately
    )
    if is_kept and not is_planned_anew:
        return None
    if (due := due_at(request, before)) is None or due > now:
        return None
    if isinstance(request.timing, RunImmediately | RunLater):
        fire = one_time_fire(request.timing, before)
        return None if had_verdict(before, fire) else Miss(count=1, first=fire, last=fire)
    assert isinstance(request.timing, Schedule), "a request without timing is never due"
    return miss_of(without_verdict(request.timing.rule, before, now - delay_of(request)))


def without_abandoned(
    request: Outline | None,
    before: RequestState | None,
    changed: RequestState,
    now: datetime,
) -> tuple[RequestState, Miss | None]:
    """Return the changed state with its abandoned fires settled, and those fires.

    `request` and `before` are None for a new request.
    """
    if (
        request is None
        or before is None
        or (miss := abandoned(request, before, changed, now)) is None
    ):
        return changed, None
    if changed.generation != before.generation:
        # The new generation has a watermark of its own, and a reschedule may fire at this
        # very instant: do not move the watermark past it.
        return changed, miss
    return with_verdict_through(changed, max(changed.fired_through, miss.last), miss.last), miss
