"""Which new request goes on with the state of another: `formerly`, and the way back from it. Pure.

A state that has moved leaves a mark behind, its `heir`. So a name that comes back, as
when a branch is left again, gets its state back, and a file that keeps its `formerly`
for ever does not bring back a state that was left long ago. What runs at that moment
goes on, is recorded and holds its guard under the former name. A process is named like
its request unless it has a `name` of its own: whoever relies on `prevent_concurrent`
across a renaming gives it one.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from runner.planning.states.state import RequestState
from runner.requests.model import ProcessRequest

States = Mapping[str, RequestState]


def renamings(
    added: Iterable[str], requests: Mapping[str, ProcessRequest], states: States
) -> dict[str, str]:
    """Return, for each of the `added` names that goes on with the state of another,
    that other name.

    `requests` are those that come into force. A name that has a state of its own, not
    removed, keeps that; and the state of a request that is there stays with it. What a
    file says of itself goes before the way back.
    """
    fresh = [name for name in added if name not in states or states[name].removed]
    found: dict[str, str] = {}
    taken: set[str] = set()  # the values of `found`
    for name in fresh:
        _claim(name, requests[name].formerly, requests, states, found, taken)
    for name in fresh:
        if name in states and states[name].heir is not None:
            _claim(name, states[name].heir, requests, states, found, taken)
    return found


def bearer(name: str, states: States) -> str:
    """Return the name under which the state of `name` goes on now: its own, if it was not renamed."""
    while (state := states.get(name)) is not None and state.heir is not None:
        name = state.heir
    return name


def with_renamed(
    requests: Mapping[str, ProcessRequest], known: Container[str], states: States
) -> Mapping[str, RequestState]:
    """Return the states, those that move because of `requests`, of which some are
    `known`, under their new names.
    """
    moved = renamings((name for name in requests if name not in known), requests, states)
    return (
        {**states, **{name: states[former] for name, former in moved.items()}} if moved else states
    )


def _claim(
    name: str,
    former: str | None,
    requests: Mapping[str, ProcessRequest],
    states: States,
    found: dict[str, str],
    taken: set[str],
) -> None:
    """Note that `name` goes on with the state that `former` left, if that is to be had."""
    if former is None or name in found:
        return
    source = bearer(former, states)
    if source in states and source not in requests and source not in taken:
        found[name] = source
        taken.add(source)
