"""The outputs that the store has, as `KeptOutputs` has those in a folder. Reads the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID

from runner.execution.kept_outputs import SLICE, KeptOutput
from runner.store.protocol import Store


class StoredOutputs:
    """The outputs in a fleet's store, by the execution that wrote them; a group's is that of
    its members.
    """

    def __init__(self, store: Store) -> None:
        self.found: dict[str, KeptOutput] = {}
        self._store = store

    def look(self) -> Iterator[None]:
        """Find the outputs, in slices. Raises StoreUnwritableError."""
        last = ""
        while found := self._store.outputs_after(last, at_most=SLICE):
            for execution, size, parts in found:
                self.found[execution] = KeptOutput(size, parts, _written_s(execution))
            last = found[-1].execution
            yield

    def remove(self, execution: str) -> None:
        """Remove the output of an execution. Raises StoreUnwritableError."""
        self._store.delete_outputs([execution])


def _written_s(execution: str) -> float:
    """Return when an execution was claimed: the time in its id (RFC 9562, version 7)."""
    with suppress(ValueError):
        return (UUID(execution).int >> 80) / 1000
    return 0.0
