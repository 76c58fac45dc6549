"""Calls that may hang, carried out aside in a thread: whoever asked waits as long as it
can afford, and no longer.

A mount whose server is gone, a dying disk or a name service can hold up a system call
for ever, and no timeout ends such a call. Whatever is called here must release the
interpreter's lock while it waits for the system.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Pending(Generic[T]):
    """A call that a thread carries out, and then what came of it."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._outcome: list[T] = []
        self._error: BaseException | None = None
        self._undo: Callable[[T], object] | None = None
        self._mutex = Lock()
        self._running = Lock()
        self._running.acquire()

    @property
    def is_over(self) -> bool:
        """Whether the call has returned or raised."""
        return not self._running.locked()

    def wait(self, within_s: float) -> bool:
        """Wait for the end of the call, for so many seconds at most; return whether it is over."""
        if self._running.acquire(timeout=within_s):
            self._running.release()
            return True
        return False

    def result(self) -> T:
        """Return what a call that is over returned, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._outcome[0]

    def abandon(self, undo: Callable[[T], object]) -> None:
        """Have `undo` called with what the call returns, now or, by the thread,
        whenever that may be.
        """
        with self._mutex:
            self._undo = undo
            is_returned = bool(self._outcome)
        if is_returned:
            undo(self._outcome[0])

    def carry_out(self) -> None:
        """Make the call; for the thread."""
        try:
            outcome = self._call()
            with self._mutex:
                self._outcome.append(outcome)
                undo = self._undo
            if undo is not None:
                undo(outcome)
        except BaseException as error:  # noqa: BLE001 - it is raised to whoever asks for the result
            self._error = error
        self._running.release()


class Aside:
    """A thread that carries out calls. While one of them hangs, another thread takes
    its place. Of one owner.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._line: SimpleQueue[Pending[object] | None] | None = None
        self._latest: Pending[object] | None = None

    def begin(self, call: Callable[[], T]) -> Pending[T]:
        """Have a call carried out at once. Raises RuntimeError if the system has no
        room for another thread.
        """
        if self._line is None or (self._latest is not None and not self._latest.is_over):
            self.close()
            self._line = SimpleQueue()
            Thread(target=_carry_out, args=(self._line,), name=self._name, daemon=True).start()
        pending = Pending(call)
        self._latest = pending  # type: ignore[assignment]  # nobody puts anything in
        self._line.put(pending)  # type: ignore[arg-type]
        return pending

    def close(self) -> None:
        """Have the thread end once its call is over."""
        if self._line is not None:
            self._line.put(None)
        self._line = None


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what a call returns, or raise what it raises; TimeoutError if it takes
    longer than so many seconds.
    """
    aside = Aside("call")
    pending = aside.begin(call)
    aside.close()
    if not pending.wait(seconds):
        raise TimeoutError
    return pending.result()


def _carry_out(line: SimpleQueue[Pending[object] | None]) -> None:
    while (pending := line.get()) is not None:
        pending.carry_out()
        del pending  # what it returned may be large
