"""Find the states of removed requests that Runner no longer needs. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from datetime import datetime, timedelta

from runner.planning.states.state import RequestState

KEPT = timedelta(days=90)
"""How long the state of a removed request is kept, in case its branch is checked out again."""


def prunable(
    states: Mapping[str, RequestState],
    requests: Container[str],
    now: datetime,
    *,
    in_use: Container[str],
) -> Iterator[str]:
    """Yield the names of unused states that were removed at least `KEPT` ago.

    A state is in use if its name is in `requests`, if one of its executions has not ended
    (`in_use`), or if the request that continues it (`renamed_to`) still has a state: executions
    under the former name belong to that request.
    """
    for name, state in states.items():
        if state.removed_at is None or now - state.removed_at < KEPT:
            continue
        if (
            name not in requests
            and name not in in_use
            and (state.renamed_to is None or state.renamed_to not in states)
        ):
            yield name
