"""Find the new requests that continue the state of another one: `formerly`. Pure.

A state that moved leaves its new name behind, as `renamed_to`. It serves two cases. When the old
name returns, because a branch was checked out and left again, it gets its state back. And
a file that keeps its `formerly` forever cannot fetch a state that moved on long ago.

An execution that runs during the renaming continues, is recorded and holds its guard under
the former name. A process without a `name` of its own is named like its request. To rely on
`prevent_concurrent` across a renaming, give the process a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runner.planning.states.state import RequestState
from runner.requests.model import Outline

States = Mapping[str, RequestState]


def renamings(
    added: Iterable[str], requests: Mapping[str, Outline], states: States
) -> dict[str, str]:
    """Return the former name of each of the `added` names that continues another's state.

    `requests` are those that come into force. A name with a state of its own that is not
    removed keeps it, and no state moves away from a request that still exists. A file's
    `formerly` takes precedence over the return to an old name.
    """
    fresh = [name for name in added if name not in states or states[name].removed]
    found: dict[str, str] = {}
    taken: set[str] = set()  # the values of `found`
    for name in fresh:
        _claim(name, requests[name].formerly, requests, states, found, taken)
    for name in fresh:
        if name in states and states[name].renamed_to is not None:
            _claim(name, states[name].renamed_to, requests, states, found, taken)
    return found


def current_name(name: str, states: States) -> str:
    """Return the present name of the request that was called `name`; `name` if never renamed."""
    while (state := states.get(name)) is not None and state.renamed_to is not None:
        name = state.renamed_to
    return name


def _claim(
    name: str,
    former: str | None,
    requests: Mapping[str, Outline],
    states: States,
    found: dict[str, str],
    taken: set[str],
) -> None:
    """Let `name` continue the state of `former` in `found`, if that state is available."""
    if former is None or name in found:
        return
    source = current_name(former, states)
    if source in states and source not in requests and source not in taken:
        found[name] = source
        taken.add(source)
