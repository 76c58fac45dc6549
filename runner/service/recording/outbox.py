"""The committed records that the monitor log may lack: all by number, the oldest also as
lines in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import Protocol

from runner.store.rows import Batch, Mark

BATCH_BYTES = 2**20
"""Maximum size of one append to the log, and of the lines kept in memory."""


class RecordStore(Protocol):
    """The part of a store that the log needs; a standby's own connection has it, too."""

    def records_after(self, number: int, *, about_bytes: int) -> tuple[tuple[int, bytes], ...]:
        """Return the records after `number` (see `Store`)."""
        ...

    def commit(
        self, batch: Batch, *, appended: tuple[int, Mark] | None = None
    ) -> tuple[tuple[int, bytes], ...]:
        """Note with an empty batch what the log has (see `Store`)."""
        ...


class Outbox:
    """Keeps `BATCH_BYTES` of lines in memory; the store has the rest.

    Of a record that was left to the store, only the number is known here. So memory stays
    bounded, however long the log refuses.
    """

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._lines: list[tuple[int, bytes]] = []
        self._kept_bytes = 0
        self._through = 0  # the newest record that the log has
        self._last = 0  # the newest record of all

    def __len__(self) -> int:
        return self._last - self._through

    @property
    def kept_bytes(self) -> int:
        """How many bytes of lines are in memory."""
        return self._kept_bytes

    def resume(self, numbers: range) -> None:
        """Take over the records that a former runner committed.

        The range may be empty; a start above 0 says where the next one begins.
        """
        if numbers.start:
            self._through, self._last = numbers.start - 1, numbers.stop - 1

    def extend(self, newest: int) -> None:
        """Add the records up to number `newest`, which another node has committed."""
        self._last = max(self._last, newest)

    def add(self, numbered: Iterable[tuple[int, bytes]]) -> None:
        """Add records that were just committed, in the order of their numbers."""
        for number, line in numbered:
            if not self:
                self._through = number - 1
            # Lines must be consecutive. Once one was left to the store, so are all later ones.
            is_next = self._through + len(self._lines) == number - 1
            if is_next and self._has_room(line):
                self._keep(number, line)
            self._last = number

    def batch(self) -> tuple[int, bytes]:
        """Return the oldest lines as one text, and the number of the last one.

        Until `drop`, every batch begins with this one. Raises StoreUnwritableError.
        """
        if not self._lines:
            stored = self._store.records_after(self._through, about_bytes=BATCH_BYTES)
            for number, line in takewhile(lambda record: self._has_room(record[1]), stored):
                self._keep(number, line)
        if not self._lines:  # somebody deleted rows from the store
            return self._last, b""
        return self._lines[-1][0], b"".join(line for _, line in self._lines)

    def drop(self, number: int) -> None:
        """Drop the batch that ended with record `number`, because the log has it."""
        self._lines.clear()
        self._kept_bytes, self._through = 0, number
        self.extend(number)  # a standby may read records before it learns of them

    def _has_room(self, line: bytes) -> bool:
        # The first line always has room: a record is far shorter than a batch.
        return not self._lines or self._kept_bytes + len(line) <= BATCH_BYTES

    def _keep(self, number: int, line: bytes) -> None:
        self._lines.append((number, line))
        self._kept_bytes += len(line)
