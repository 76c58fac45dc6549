"""Signals to the runner. A handler only leaves a note and a byte that wakes the loop."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Self, TypeVar

from runner.errors import StoppedEarlyError
from runner.system import early_signals
from runner.system.background_calls import BackgroundThread

T = TypeVar("T")
_LOOK_S = 0.1


class Signals:
    """Collects signals while it is entered; then `descriptor` is readable. Main thread only."""

    def __init__(self) -> None:
        self._notes: deque[signal.Signals] = deque()
        self._former: dict[signal.Signals, object] = {}
        self.descriptor, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        self._former_wakeup = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in map(signal.Signals, early_signals.NOTED):
            self._former[number] = signal.signal(number, self._note)
        self._take_over()
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself returned
        signal.set_wakeup_fd(self._former_wakeup)
        os.close(self.descriptor)
        os.close(self._write_end)
        # For the standby after a lost lease, and for a program that replaces this one.
        self.put_back()

    def put_back(self) -> None:
        """Leave the signals that `take` has not returned to those who wait after this."""
        early_signals.put_back(self._notes)
        self._notes.clear()

    def take(self) -> list[signal.Signals]:
        """Return the signals since the last call, in order of arrival."""
        # Empty the pipe before the notes: a signal in between leaves a byte for the next
        # wait, and no note is lost.
        with suppress(BlockingIOError):
            os.read(self.descriptor, 4096)
        taken = []
        while self._notes:
            taken.append(self._notes.popleft())
        return taken

    def _take_over(self) -> None:
        """Take the signals that arrived before the handlers were installed."""
        early = early_signals.take()
        self._notes.extendleft(map(signal.Signals, reversed(early)))
        if early:
            os.write(self._write_end, b"\0")

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._notes.append(signal.Signals(number))


def unless_stopped(call: Callable[[], T]) -> T:
    """Return the result of a call that may hang during the start.

    Raises what the call raises, and StoppedEarlyError if a signal asks for a stop.
    """
    background = BackgroundThread("start")
    pending = background.begin(call)
    background.close()
    while not pending.wait(_LOOK_S):
        if early_signals.is_stop_asked():
            blocked = pending.blocked_call()
            what = f"{blocked.path}, which does not answer" if blocked else "a disk or a mount"
            raise StoppedEarlyError(f"stopped before the start, while waiting for {what}")
    return pending.result()
