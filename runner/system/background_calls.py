"""Runs calls that may hang in a background thread, so that the caller can limit its wait.

A mount whose server is gone, a dying disk or a name service can block a system call for
ever, and no timeout ends such a call. A call that runs here must release the
interpreter's lock while it waits for the system. Touches threads.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, get_native_id
from typing import Any, Generic, TypeVar, cast

from runner.system.blocked_calls import BlockedCall, call_of
from runner.system.threads import OwnThread

T = TypeVar("T")


class Pending(Generic[T]):
    """A call in a background thread, and later its result or its error."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._outcome: list[T] = []
        self._error: BaseException | None = None
        self._undo: Callable[[T], object] | None = None
        self._thread: int | None = None
        self._mutex = Lock()  # guards _outcome and _undo: `undo` runs exactly once
        self._running = Lock()  # held until the call is over
        self._running.acquire()

    @classmethod
    def over(cls, result: T) -> Pending[T]:
        """Return a call that is over, with its result."""
        pending = cls(lambda: result)
        pending.carry_out()
        return pending

    @property
    def is_over(self) -> bool:
        """Whether the call has returned or raised."""
        return not self._running.locked()

    def wait(self, within_s: float) -> bool:
        """Wait up to `within_s` seconds for the call; return whether it is over."""
        if self._running.acquire(timeout=within_s):
            self._running.release()
            return True
        return False

    def result(self) -> T:
        """Return the result of a call that is over, or raise its error."""
        if self._error is not None:
            raise self._error
        return self._outcome[0]

    def blocked_call(self) -> BlockedCall | None:
        """Return the system call on a file that the call waits for, if it can be found."""
        return None if self._thread is None or self.is_over else call_of(self._thread)

    def abandon(self, undo: Callable[[T], object]) -> None:
        """Call `undo` with the result: now, or in the thread once the call returns."""
        with self._mutex:
            self._undo = undo
            is_returned = bool(self._outcome)
        if is_returned:
            undo(self._outcome[0])

    def carry_out(self) -> None:
        """Run the call. Only the background thread and `over` call this."""
        self._thread = get_native_id()
        try:
            outcome = self._call()
            with self._mutex:
                self._outcome.append(outcome)
                undo = self._undo
            if undo is not None:
                undo(outcome)
        except BaseException as error:  # noqa: BLE001 - `result` raises it
            self._error = error
        self._running.release()


class BackgroundThread:
    """A background thread for calls, used by one owner.

    If a call hangs, a new thread takes over the next calls.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._line: SimpleQueue[Pending[object] | None] | None = None
        self._latest: Pending[object] | None = None

    def begin(self, call: Callable[[], T]) -> Pending[T]:
        """Start a call at once. Raises RuntimeError if no thread can be started."""
        if self._line is None or (self._latest is not None and not self._latest.is_over):
            self.close()
            self._line = SimpleQueue()
            OwnThread(target=_carry_out, args=(self._line,), name=self._name, daemon=True).start()
        pending = Pending(call)
        self._latest = pending  # type: ignore[assignment]  # read only, so any T will do
        self._line.put(pending)  # type: ignore[arg-type]
        return pending

    def close(self) -> None:
        """End the thread once its call is over."""
        if self._line is not None:
            self._line.put(None)
        self._line = None


class ContinuedCalls:
    """Calls in a background thread, one after another. A slow one is continued, not repeated."""

    def __init__(self, name: str) -> None:
        self._background = BackgroundThread(name)
        self._pending: Pending[Any] | None = None
        self._begun_s = 0.0

    @property
    def lasts_s(self) -> float:
        """For how many seconds the current call has lasted; 0 without one."""
        return 0.0 if self._pending is None else time.monotonic() - self._begun_s

    def result(self, call: Callable[[], T], *, patience_s: float) -> T:
        """Return the result of a call, or raise its error.

        Raises TimeoutError if the call takes longer than `patience_s` seconds; the next
        `result` then goes on waiting for it, and must be given an equivalent call.
        """
        if self._pending is None:
            self._pending, self._begun_s = self._background.begin(call), time.monotonic()
        if not self._pending.wait(patience_s):
            raise TimeoutError
        pending, self._pending = self._pending, None
        return cast(T, pending.result())

    def close(self) -> None:
        """End the thread once its call is over."""
        self._background.close()


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return the result of a call, or raise its error.

    Raises TimeoutError if the call takes longer than `seconds`; it then goes on in its
    thread. Raises RuntimeError if no thread can be started.
    """
    background = BackgroundThread("call")
    pending = background.begin(call)
    background.close()
    if not pending.wait(seconds):
        raise TimeoutError
    return pending.result()


def _carry_out(line: SimpleQueue[Pending[object] | None]) -> None:
    # A signal is for the main thread. While that is stuck, the signal must wait for it, or
    # the stall watch would not see it.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    while (pending := line.get()) is not None:
        pending.carry_out()
        del pending  # frees the result, which may be large, before the next wait
