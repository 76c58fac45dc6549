"""The files of a state folder, and whether root may trust them. Reads the file system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runner.requests.files.permissions import is_guarded, require_trusted

_KINDS = (
    "store.sqlite3*", "lock", "wake", "state-id", "catalog.jsonl*", "history.*",
    "fleet-log", "fleet-log/*", "outputs", "outputs/?", "outputs/?/?", "web-*.json", "web.key",
)  # fmt: skip


def places_in(state: Path) -> Iterator[Path]:
    """Yield the existing files and folders that a runner uses in its state folder.

    Single outputs are left out: they are only created inside a trusted folder.
    """
    for kind in _KINDS:
        yield from sorted(state.glob(kind))


def require_trusted_state(state: Path) -> None:
    """Refuse a state folder that another user can change, if this program runs as root.

    Raises RefusedError.
    """
    if is_guarded():
        for place in (state, *places_in(state)):
            require_trusted(place, "the state")
