"""A thread whose start cannot wait for ever. Reads /proc."""

from __future__ import annotations

import os
from threading import Event, Thread

_LOOK_S = 0.1


class OwnThread(Thread):
    """A thread whose `start` raises MemoryError if the thread dies before it begins.

    Without memory for its first frame a new thread ends at once, but `Thread.start` waits
    for it for ever, deaf to SIGTERM. Every thread of this program is an OwnThread.
    """

    def start(self) -> None:
        """Start the thread, once. Raises RuntimeError if there is no room for one, and
        MemoryError.
        """
        self._started = _Begun()  # the event for which `Thread.start` waits
        super().start()


class _Begun(Event):
    """Is set by a thread that begins. Remembers which threads there were before."""

    def __init__(self) -> None:
        super().__init__()
        self._before = _threads()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait as `Event.wait`. Raises MemoryError if the thread has ended instead."""
        if timeout is not None:
            return super().wait(timeout)
        while not super().wait(_LOOK_S):
            now = _threads()
            if self._before is not None and now is not None and now <= self._before:
                raise MemoryError("a thread ended before it began")
        return True


def _threads() -> set[str] | None:
    """Return the ids of this process's threads; None where the system does not tell."""
    try:
        return set(os.listdir("/proc/self/task"))  # noqa: PTH208 - the names alone
    except OSError:
        return None
