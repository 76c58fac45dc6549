"""What lies in a state folder, and whether root may trust it. Asks the file system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runner.requests.catalog.permissions import is_guarded, require_trusted

_KINDS = ("store.sqlite3*", "lock", "wake", "catalog.json*", "outputs", "outputs/?", "outputs/?/?")


def places_in(state: Path) -> Iterator[Path]:
    """Yield the files and folders that a runner uses in its state folder, as far as they are there.

    Outputs themselves are not among them: only what is in a trusted folder is ever made there.
    """
    for kind in _KINDS:
        yield from sorted(state.glob(kind))


def require_trusted_state(state: Path) -> None:
    """Refuse a state folder that another user may change, where this program is root.
    Raises RefusedError.
    """
    if is_guarded():
        for place in (state, *places_in(state)):
            require_trusted(place, "the state")
