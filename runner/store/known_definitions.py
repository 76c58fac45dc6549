"""The definitions that a store has, so that a commit writes only new ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from runner.store.rows import Batch, RequestRow


class KnownDefinitions:
    """The definitions of all requests in the store, by name.

    A fire changes the row of its request but rarely the long definition.
    """

    def __init__(self) -> None:
        self._texts: dict[str, str | None] = {}

    def note(self, rows: Iterable[RequestRow]) -> None:
        """Note what the store has."""
        self._texts = {row.name: row.definition for row in rows}

    def new_in(self, batch: Batch) -> dict[str, str | None]:
        """Return the definitions of a batch that differ from the written ones, by name."""
        known = self._texts
        return {
            name: row.definition
            for name, row in batch.requests.items()
            if name not in known or known[name] != row.definition
        }

    def note_commit(self, batch: Batch, written: dict[str, str | None]) -> None:
        """Note that a batch was committed with these definitions."""
        self._texts.update(written)
        for name in batch.pruned:
            self._texts.pop(name, None)
