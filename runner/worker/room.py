"""How many further executions this worker may take. Any thread may ask."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock


class Room:
    """The places of a worker: `concurrency`, less what runs and what is being taken.

    The connection reserves places before it takes executions. The owner of the executions
    keeps each place until its execution ends, or gives it back.
    """

    def __init__(self, concurrency: int) -> None:
        self._lock = Lock()
        self._concurrency = concurrency
        self._occupied = 0
        self._note_free: Callable[[], object] | None = None
        self.is_closed = False
        """Whether nobody may reserve a place."""

    def when_free(self, note: Callable[[], object]) -> None:
        """Call `note` in any thread when a place may have become free."""
        self._note_free = note

    def reserve(self) -> int:
        """Reserve all free places, and return how many; none if the room is closed."""
        with self._lock:
            free = 0 if self.is_closed else max(self._concurrency - self._occupied, 0)
            self._occupied += free
            return free

    def occupy(self, count: int = 1) -> None:
        """Occupy places, free or not: their executions are this worker's already."""
        with self._lock:
            self._occupied += count

    def give_back(self, count: int = 1) -> None:
        """Give places back."""
        with self._lock:
            self._occupied -= count
        if count and self._note_free is not None:
            self._note_free()

    def close(self) -> None:
        """Let nobody reserve a place any more."""
        self.is_closed = True
