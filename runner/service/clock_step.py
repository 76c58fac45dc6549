"""What a step of the clock changes: the states that follow it, and the record that tells of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from runner.monitor.records import Event
from runner.planning.clock_steps import stepped_back
from runner.planning.state import RequestState
from runner.service.clock import StepDetector
from runner.service.decision import Decision
from runner.service.registry import Registry
from runner.values import from_microseconds, to_microseconds

_SEEN = "seen"


def decide(step_s: float, decision: Decision, registry: Registry, about: Mapping[str, Any]) -> None:
    """Let interval rules and delayed attempts go on from a clock that went back; tell of the step, whichever way."""
    decision.tell(Event.RUNNER_CLOCK_STEPPED, {**about, "step_s": round(step_s, 6)})
    decision.batch.meta |= seen(decision.now)
    for name, _, moved in _moved(registry, decision.now):
        decision.put(name, moved)
    if step_s < 0:
        decision.claims.shift_delayed(timedelta(seconds=step_s))


def seen(now: datetime) -> dict[str, str]:
    """Return what the store keeps of the present moment, for the next start to compare its clock with."""
    return {_SEEN: str(to_microseconds(now))}


def step_while_away_s(meta: Mapping[str, str], registry: Registry, now: datetime) -> float:
    """Return by how many seconds, at least, the clock went back while no runner looked (negative), 0.0 if it did not.

    Calendar rules are no witnesses: they wait for the clock, and would tell of one step at each start until then.
    """
    known = [from_microseconds(int(meta[_SEEN]))] if _SEEN in meta else []
    known += [state.fired_through for _, state, _ in _moved(registry, now)]
    step_s = (now - max(known, default=now)).total_seconds()
    return step_s if step_s < -StepDetector.THRESHOLD_S else 0.0


def _moved(registry: Registry, now: datetime) -> Iterator[tuple[str, RequestState, RequestState]]:
    """Yield the name of each request that a clock gone back concerns, its state and the one that follows."""
    for name, request in registry.requests.items():
        state = registry.states.get(name)
        if state is not None and (moved := stepped_back(request, state, now)) is not state:
            yield name, state, moved
