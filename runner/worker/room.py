"""How many further executions this worker may take. Any thread may ask."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Lock


class Room:
    """The places of a worker: `concurrency`, less what runs and what is being taken.

    The thread that fetches deliveries reserves a place for each. The owner of the
    executions keeps it until the execution ends, or gives it back.
    """

    def __init__(self, concurrency: int) -> None:
        self._lock = Lock()
        self._concurrency = concurrency
        self._occupied = 0
        self.is_closed = False
        """Whether nobody may reserve a place."""
        self._note_free: Callable[[], object] | None = None

    def when_free(self, note: Callable[[], object] | None) -> None:
        """Call `note` in any thread when a place may have become free; None for nobody."""
        self._note_free = note

    def reserve(self) -> bool:
        """Reserve a place; return False if none is free or the room is closed."""
        with self._lock:
            if self.is_closed or self._occupied >= self._concurrency:
                return False
            self._occupied += 1
            return True

    def occupy(self) -> None:
        """Occupy a place, free or not: a former worker started its execution."""
        with self._lock:
            self._occupied += 1

    def give_back(self) -> None:
        """Give a place back."""
        with self._lock:
            self._occupied -= 1
        self._say_free()

    def close(self) -> None:
        """Let nobody reserve a place any more."""
        self.is_closed = True

    def _say_free(self) -> None:
        if (note := self._note_free) is not None:
            with suppress(RuntimeError):  # the loop of the one who waited has ended
                note()
