"""Compute what a new catalog means for each request. Pure.

The runner carries out the result and `plan` shows it, so both agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from runner.planning.states.registration import Registration, register, register_renamed, remove
from runner.planning.states.state import RequestState
from runner.requests.model import ProcessRequest

Requests = Mapping[str, ProcessRequest]
States = Mapping[str, RequestState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The requests in force, and the states of all requests, removed ones included."""

    requests: Requests
    states: States


def consequences(
    old: Standing,
    new: Requests,
    removed: Iterable[str],
    renamed: Mapping[str, str],
    among: Iterable[str],
    now: datetime,
) -> Iterator[tuple[str, Registration]]:
    """Yield the name and new registration of each request that changes.

    The `removed` requests come first, then those of `among`, which are names in `new`. A
    request that continues under a new name, by `renamed` (see `renamings`), is not
    removed.
    """
    left = frozenset(renamed.values())
    for name in removed:
        if name in old.states and name not in left:
            yield name, remove(old.states[name], now)
    for name in among:
        registered = registration_of(new[name], old.states, renamed.get(name), now)
        if registered.state != old.states.get(name) or new[name] != old.requests.get(name):
            yield name, registered


def registration_of(
    request: ProcessRequest, states: States, former: str | None, now: datetime
) -> Registration:
    """Register a request. With a `former` name, it continues that name's state."""
    if former is None:
        return register(request, states.get(request.name), now)
    return register_renamed(request, states[former], now, former=former)
