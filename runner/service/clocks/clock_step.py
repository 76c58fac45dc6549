"""What a step of the clock changes: states, delayed attempts, and a record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from runner.monitor.event_facts import RunnerFacts
from runner.monitor.events import runner_clock_stepped
from runner.planning.fires.clock_steps import stepped_back, without_verdicts_ahead
from runner.planning.fires.firing import delay_of
from runner.planning.fires.planned_status import Registration, RequestChange
from runner.planning.states.pauses import stepped_back as pauses_after_step_back
from runner.planning.states.state import RequestState
from runner.requests.model import ProcessRequest
from runner.service.clock_watch import ClockStep
from runner.service.deciding.decision import Decision
from runner.service.registry import Registry

_NO_DELAY = timedelta()


def decide(
    step: ClockStep,
    decision: Decision,
    registry: Registry,
    about: RunnerFacts,
    trouble: str | None,
) -> None:
    """Record a step; requests and delayed attempts follow a clock that went back.

    If the clock is certainly wrong now, `trouble` says so and nothing follows it.
    """
    moved = list(_moved(registry, decision.now)) if step.reopened else []
    reopened = step.reopened
    # With `spread`, fires from before the step may still have been waiting for their
    # delay; the record covers them too.
    delay = _longest_delay(request for request, _ in moved)
    decision.record(
        runner_clock_stepped(
            about,
            message=trouble,
            step_s=step.seconds,
            reopened_from=None if reopened is None else reopened.begin - delay,
            reopened_until=None if reopened is None else reopened.end,
        )
    )
    if step.reopened and decision.pauses.known:
        decision.put_pauses(pauses_after_step_back(decision.pauses, decision.now))
    for request, state in moved:
        if state.status is registry.states[request.name].status:
            decision.put(request.name, state)
        else:
            decision.register(
                request.name, Registration(state=state, change=RequestChange.SCHEDULED)
            )
    decision.alerts.note_step(timedelta(seconds=step.seconds))
    if step.behind:
        decision.claims.shift_delayed(step.behind)


def forget_verdicts(decision: Decision, registry: Registry) -> None:
    """Treat future fires as ordinary ones again, long enough after the clock went back."""
    for name, state in registry.states.items():
        if (forgetful := without_verdicts_ahead(state, decision.now)) is not state:
            decision.put(name, forgetful)


def _moved(registry: Registry, now: datetime) -> Iterator[tuple[ProcessRequest, RequestState]]:
    """Yield each request that a step back affects, with its new state."""
    for name, request in registry.requests.items():
        state = registry.states.get(name)
        if state is not None and (moved := stepped_back(request, state, now)) is not state:
            yield request, moved


def _longest_delay(requests: Iterable[ProcessRequest]) -> timedelta:
    return max(map(delay_of, requests), default=_NO_DELAY)
