"""Which states of removed requests are not needed any more. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from datetime import datetime, timedelta

from runner.planning.states.state import RequestState

KEPT = timedelta(days=90)
"""How long the state of a removed request is kept: a branch that is checked out again finds it."""


def prunable(
    states: Mapping[str, RequestState],
    requests: Container[str],
    now: datetime,
    *,
    in_use: Container[str],
) -> Iterator[str]:
    """Yield the names of states that were removed `KEPT` ago and that nothing refers to.

    Kept are those of `requests`, those of executions that have not ended (`in_use`),
    and those that were handed on to a name that still has a state: an execution under
    the former name is that one's.
    """
    for name, state in states.items():
        if state.removed_at is None or now - state.removed_at < KEPT:
            continue
        if (
            name not in requests
            and name not in in_use
            and (state.heir is None or state.heir not in states)
        ):
            yield name
