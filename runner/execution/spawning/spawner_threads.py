"""The threads that carry out starts, and a start on its way through them. Touches threads.

The owner puts starts into a queue. A thread takes one, prepares and spawns, marks it as
done, and makes `descriptor` readable. The threads change nothing but their own start, and
the mutex guards that.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from queue import Empty, SimpleQueue
from threading import Event, Lock

from runner.execution.executor import Order
from runner.execution.launch import Launch
from runner.execution.spawning.spawned_process import SpawnedProcess
from runner.system.threads import OwnThread

_JOIN_S = 1.0  # for a thread at the end; a start that takes longer hangs


class StartState(Enum):
    """How far a start is."""

    HELD = auto()  # behind hanging starts that need the same
    QUEUED = auto()
    TAKEN = auto()  # a thread is at it
    DONE = auto()


@dataclass(slots=True, kw_only=True, eq=False)
class PendingStart:
    """An order and what became of it: `process` or `error`."""

    order: Order
    state: StartState = StartState.QUEUED
    since_s: float = 0.0
    """When it was held back or taken."""
    ordered_s: float = 0.0
    """When the owner asked for it."""
    repeats: int = 0
    """How often it was handed over again because the owner did not wait for it."""
    is_hung: bool = False
    is_abandoned: bool = False
    """Nobody waits for it any more: it must not begin, or its process must end."""
    done: Event | None = None
    """Set when it is done, for an owner who waits (see `open_files.permitted`)."""
    process: SpawnedProcess | None = None
    error: BaseException | None = None

    def result(self) -> SpawnedProcess:
        """Return the process of a start that is done. Raises SpawnError."""
        if self.error is not None:
            raise self.error
        assert self.process is not None
        return self.process

    def hanging_words(self, waited_s: float) -> str:
        """Return why the start failed after this time without an answer."""
        is_held = self.state is StartState.HELD
        behind = "; it waited behind earlier starts that need the same" if is_held else ""
        return (
            f"directory {self.order.needs.directory!r}, or a file or name service that is"
            f" needed for the start, has not answered for {waited_s:g} s{behind}"
        )


class _Spawner:
    """A thread that takes starts from the queue."""

    def __init__(self, carry_out: Callable[[_Spawner], None]) -> None:
        """Raises RuntimeError if the system cannot start a thread."""
        self.start: PendingStart | None = None
        self.is_retired = False
        """Whether another thread has taken over: this one ends after its start."""
        self.thread = OwnThread(target=carry_out, args=(self,), name="spawner", daemon=True)
        self.thread.start()


class SpawnerThreads:
    """The threads that do not hang, and their queue.

    Only the owner calls the public methods. `spawn` starts a process and may hang;
    `elapsed_s` is the clock.
    """

    def __init__(
        self, spawn: Callable[[Launch], SpawnedProcess], elapsed_s: Callable[[], float]
    ) -> None:
        """Raises OSError."""
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        """Readable when a start is done."""
        self._spawn = spawn
        self._elapsed_s = elapsed_s
        self._threads: list[_Spawner] = []
        self._queue: SimpleQueue[PendingStart | None] = SimpleQueue()
        self._is_readable = self._is_closed = False
        self._mutex = Lock()  # guards the state of each start, and the two flags

    def put(self, start: PendingStart) -> None:
        """Give a start to the threads."""
        self._queue.put(start)

    def keep(self, count: int) -> None:
        """Start threads until there are `count`. Raises RuntimeError if there is none."""
        while len(self._threads) < count:
            try:
                self._threads.append(_Spawner(self._carry_out))
            except RuntimeError:
                if not self._threads:
                    raise
                return

    def clear(self) -> None:
        """Make `descriptor` unreadable until the next start is done."""
        if self._is_readable:
            with self._mutex:
                self._is_readable = False
                os.eventfd_read(self.descriptor)

    def drained(self) -> list[PendingStart]:
        """Empty the queue; return what was in it."""
        queued = []
        with suppress(Empty):
            while True:
                queued.append(self._queue.get_nowait())
        return [start for start in queued if start is not None]

    def retire_hanging(self, patience_s: float) -> list[PendingStart]:
        """Give up the threads whose start takes longer; return these starts, now hung.

        Such a thread ends when its start returns.
        """
        hanging = []
        for spawner in self._threads:
            with self._mutex:
                start = spawner.start
                if start and self._elapsed_s() - start.since_s >= patience_s:
                    spawner.is_retired = start.is_hung = True
                    hanging.append(start)
        self._threads = [each for each in self._threads if not each.is_retired]
        return hanging

    def abandon(self, start: PendingStart) -> bool:
        """Let a start not begin, or its process end; return False if it is too late."""
        with self._mutex:
            is_returning = start.state is StartState.TAKEN and not start.is_hung
            if start.is_abandoned or is_returning or start.state is StartState.DONE:
                return False
            start.is_abandoned = True
            return True

    def close(self) -> None:
        """End the threads once the queue is empty; leave those behind that hang."""
        for _ in self._threads:
            self._queue.put(None)
        for spawner in self._threads:
            spawner.thread.join(_JOIN_S)
        with self._mutex:
            self._is_closed = True
        os.close(self.descriptor)

    def _carry_out(self, spawner: _Spawner) -> None:
        """Carry out starts from the queue. This and what it calls run in a thread."""
        # Signals are for the main thread: `system.stalls` sees whether it took them.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while (start := self._queue.get()) is not None:
            if self._begins(start, spawner):
                try:
                    start.process = self._spawn(start.order.prepare())
                except BaseException as error:  # noqa: BLE001 - the owner raises it
                    start.error = error
                spawner.start = None
                self.finish(start)
            del start  # frees the launch before the next wait
            if spawner.is_retired:
                return

    def _begins(self, start: PendingStart, spawner: _Spawner) -> bool:
        with self._mutex:
            if start.is_abandoned:
                return False
            start.state, start.since_s = StartState.TAKEN, self._elapsed_s()
            spawner.start = start
            return True

    def finish(self, start: PendingStart) -> None:
        """Hand the result to the owner, or end the process if nobody waits for it."""
        with self._mutex:
            is_abandoned = start.is_abandoned
            if not is_abandoned:
                self._note_done(start)
        if is_abandoned:
            if start.process is not None:
                start.process.undo()
            with self._mutex:
                self._note_done(start)
        if start.done is not None:
            start.done.set()

    def _note_done(self, start: PendingStart) -> None:
        start.state = StartState.DONE
        # Once is enough until the owner looks. Closed, the descriptor may be another file.
        if not (self._is_readable or self._is_closed):
            self._is_readable = True
            os.eventfd_write(self.descriptor, 1)
