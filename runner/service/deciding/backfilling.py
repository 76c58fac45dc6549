"""Begins, advances and ends backfills as part of a decision.

`advance` looks at each backfill in every decision. It claims the next fire once the execution
of the former one has ended, so a backfill has one execution at a time. It waits while a pause,
a stop of the runner or a held guard would keep the execution from starting.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from runner.commands import Answer, Command
from runner.errors import RefusedError
from runner.lifecycle import Channel, Reason, RequestStatus
from runner.planning.fires.firing import Miss
from runner.planning.overlap import guard_of
from runner.planning.states.backfills import MOST_FIRES, Backfill
from runner.planning.states.state import RequestState
from runner.requests.catalog.unknown_names import words_for
from runner.requests.model import ProcessRequest, Schedule
from runner.service.deciding.decision import Decision
from runner.service.deciding.spans import left_out
from runner.service.executions.execution import Ask, Execution
from runner.service.executions.outcomes import resolved
from runner.values import counted

_AT_REST = (RequestStatus.UNSCHEDULED, RequestStatus.DEFINITION)


def begin(command: Command, decision: Decision) -> Answer:
    """Begin a backfill of the command's fires. Raises RefusedError."""
    (name,), fires = command.targets, command.fires
    request, state = decision.requests.get(name), decision.state(name)
    if request is None or state is None:
        raise RefusedError(words_for(name, decision.requests, decision.rejections))
    if not isinstance(request.timing, Schedule):
        raise RefusedError(f"{name}: only a schedule has fires of the past")
    if state.status in _AT_REST:
        raise RefusedError(f"{name} is {state.status}; `runner schedule {name}` first")
    if state.backfill is not None:
        left = counted(len(state.backfill.left), "fire")
        raise RefusedError(
            f"{name}: a backfill of {state.backfill.by} has {left} left; "
            f"`runner kill {name}` ends it"
        )
    if not fires or len(fires) > MOST_FIRES or fires[-1] > min(state.fired_through, decision.now):
        raise RefusedError(f"{name}: a backfill has 1 to {MOST_FIRES} fires, all of the past")
    backfill = Backfill(by=command.requested_by, count=len(fires), left=fires)
    decision.put(name, replace(state, backfill=backfill))
    waits = ", after the pause" if decision.pauses.at(decision.now, request) else ""
    line = f"{name}: {counted(len(fires), 'fire')} to run in turn{waits}"
    return Answer(is_done=True, lines=(line,))


def advance(decision: Decision, names: Iterable[str]) -> None:
    """Let the backfills of `names` and the new ones of this decision claim their next fire.

    A backfill whose request is gone ends even while nothing may start: the next runner does
    not know the request any more, and could not record the fires that are left.
    """
    situation = decision.situation
    may_start = not (
        situation.is_stopping
        or situation.is_closing
        or situation.clock_trouble
        or situation.jobs_trouble
    )
    begun = (name for name, state in decision.states.items() if state.backfill is not None)
    for name in sorted({*names, *begun}):
        state = decision.state(name)
        if state is not None and state.backfill is not None:
            _advance_one(name, state, state.backfill, decision, may_start=may_start)


def end_killed(
    target: str, found: Iterable[Execution], decision: Decision, *, by: str
) -> list[str]:
    """End the backfills that a person kills, and return a line for each.

    `target` is what the person named, and `found` are the executions that it means.
    """
    names = {each.request for each in found if _is_of_backfill(each, decision)} | {target}
    lines = []
    for name in sorted(names):
        state = decision.state(name)
        if state is not None and state.backfill is not None:
            left = counted(len(state.backfill.left), "fire")
            _end(name, state, decision, Reason.KILLED_BY_USER, f"killed by {by}", by=by)
            lines.append(f"{name}: its backfill ends with {left} left")
    return lines


def _is_of_backfill(execution: Execution, decision: Decision) -> bool:
    """Return whether an execution is the latest one of its request's backfill."""
    state = decision.state(execution.request)
    return (
        state is not None
        and state.backfill is not None
        and execution.claim.group is None
        and execution.claim.channel in (Channel.BACKFILL, Channel.RETRY)
        and execution.claim.scheduled_for == state.backfill.running
    )


def _advance_one(
    name: str, state: RequestState, backfill: Backfill, decision: Decision, *, may_start: bool
) -> None:
    request = decision.requests.get(name)
    if request is None and not state.removed:
        return  # a large delivery removes or renames it in a later turn
    if request is None or state.status in _AT_REST:
        why = "its file is gone" if state.removed else f"it is {state.status}"
        _end(name, state, decision, Reason.UNSCHEDULED, why)
    elif (
        not may_start
        or decision.pauses.at(decision.now, request)
        or _is_running(request, backfill, decision)
    ):
        return
    elif not backfill.left:
        decision.put(name, replace(state, backfill=None))
    else:
        _claim_next(request, state, backfill, decision)


def _claim_next(
    request: ProcessRequest, state: RequestState, backfill: Backfill, decision: Decision
) -> None:
    """Claim the next fire, unless its process cannot start."""
    process, failure = resolved(request, decision.requests)
    guard = guard_of(process, request.context)
    if failure is not None:
        _end(request.name, state, decision, Reason.UNSCHEDULED, failure.message or "")
    elif guard is None or decision.claims.changes.holder(guard) is None:
        decision.put(request.name, replace(state, backfill=backfill.next))
        decision.claim(request, backfill.left[0], Ask(channel=Channel.BACKFILL, by=backfill.by))


def _is_running(request: ProcessRequest, backfill: Backfill, decision: Decision) -> bool:
    """Return whether the execution of the latest fire, or a retry of it, has not ended."""
    return any(
        execution.claim.scheduled_for == backfill.running
        and execution.request in (request.name, request.formerly)
        and execution.claim.group is None
        and execution.claim.channel in (Channel.BACKFILL, Channel.RETRY)
        for execution in decision.claims.changes
    )


def _end(
    name: str,
    state: RequestState,
    decision: Decision,
    reason: Reason,
    why: str,
    *,
    by: str | None = None,
) -> None:
    """Drop the fires that are left, and record them."""
    left = () if state.backfill is None else state.backfill.left
    decision.put(name, replace(state, backfill=None))
    # No definition: this version cannot read the stored one, and the file is gone as well.
    if left and (request := decision.definition(name)) is not None:
        span = Miss(count=len(left), first=left[0], last=left[-1])
        outcome = left_out(span, reason, why)
        decision.record_span(request, span, outcome, channel=Channel.BACKFILL, by=by)
