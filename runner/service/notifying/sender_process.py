"""The runner's side of the sender: starts it, gives it deliveries, and takes their results.

Nothing here waits. A thread starts the process, because a start can hang on a disk. A
sender whose delivery takes too long gets no further one, and is killed when its other
deliveries are over. Touches processes, pipes and threads.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial

from runner.execution.spawning import posix_spawn
from runner.notifying.sending.delivery import DELIVERY_S, Delivery, DeliveryResult, result_in
from runner.notifying.sending.sender import COMMAND
from runner.system import own_children
from runner.system.background_calls import BackgroundThread
from runner.system.clock import Clock

MOST_DELIVERIES = 32
"""How many deliveries a sender has at once."""
_IDLE_S = 5.0
"""How long an idle sender is kept: starting one costs about as much as ten deliveries."""
_CHUNK = 1 << 16
_CLOSING_S = 1.0
"""At most this long after it closes the pipes is a failed start over."""
_NOT_STARTED = "the sender could not be started"


class SenderProcess:
    """Deliveries on their way. `poll` also waits for the results."""

    def __init__(self, poll: select.epoll, clock: Clock) -> None:
        self._poll = poll
        self._clock = clock
        self._sender: _Sender | None = None
        self._leaving: list[_Sender] = []
        self._failed: list[DeliveryResult] = []  # of deliveries that no sender has

    def has_room(self) -> bool:
        """Whether another delivery may begin."""
        return self._sender is None or len(self._sender.due_s) < MOST_DELIVERIES

    def begin(self, delivery: Delivery) -> None:
        """Begin a delivery; `take` returns its result."""
        if self._sender is None:
            if any(sender.is_starting for sender in self._leaving):
                self._fail(delivery, "an earlier start still hangs")
                return
            try:
                self._sender = _Sender(self._poll)
            except (OSError, RuntimeError) as error:
                self._fail(delivery, _why(error))
                return
        self._sender.give(delivery, self._clock.elapsed_s() + DELIVERY_S)

    def take(self) -> list[DeliveryResult]:
        """Return the results that came since the last call, and give up what takes too long."""
        results, self._failed = self._failed, []
        now_s = self._clock.elapsed_s()
        for sender in self._all():
            results += sender.results()
            overdue = sender.take_overdue(now_s)
            results += overdue
            if sender is self._sender and (overdue or sender.is_over):
                self._leave()
            elif sender is self._sender and not sender.due_s:
                self._rest(sender, now_s)
        self._leaving = [sender for sender in self._leaving if not sender.end_if_done()]
        return results

    def next_s(self) -> float | None:
        """Return when `take` has something to do even if no result comes; None for never."""
        times = [time_s for sender in self._all() for time_s in sender.due_s.values()]
        if self._sender is not None and self._sender.idle_until_s is not None:
            times.append(self._sender.idle_until_s)
        if self._failed or any(not sender.is_starting for sender in self._leaving):
            times.append(self._clock.elapsed_s() + 0.1)
        return min(times, default=None)

    def close(self) -> None:
        """Leave the senders to themselves: each ends with its deliveries. The next runner repeats
        what has no result yet.
        """
        for sender in self._all():
            if not sender.end_if_done():
                sender.close()

    def _fail(self, delivery: Delivery, why: str) -> None:
        self._failed.append(DeliveryResult(id=delivery.id, error=f"{_NOT_STARTED}: {why}"))

    def _all(self) -> Iterator[_Sender]:
        yield from self._leaving
        if self._sender is not None:
            yield self._sender

    def _rest(self, sender: _Sender, now_s: float) -> None:
        if sender.idle_until_s is None:
            sender.idle_until_s = now_s + _IDLE_S
        elif sender.idle_until_s <= now_s:
            self._leave()

    def _leave(self) -> None:
        if self._sender is not None:
            self._leaving.append(self._sender)
        self._sender = None


class _Sender:
    """One process. `due_s` has the deliveries without a result, and when each is given up.

    The pipes exist before the process does, so they take deliveries at once.
    """

    def __init__(self, poll: select.epoll) -> None:
        """Raises OSError, and RuntimeError if no thread can be started."""
        self.due_s: dict[str, float] = {}
        self.idle_until_s: float | None = None
        self.is_over = False
        """Whether the process has ended, or will not take another delivery."""
        self._is_closed = False
        self._poll = poll
        self._unsent, self._partial = b"", b""
        with ExitStack() as undo:
            theirs, self._deliveries = _pipe(undo)
            self._results, output = _pipe(undo)
            background = BackgroundThread("sender")
            self._start = background.begin(partial(_start, theirs, output))
            background.close()
            undo.pop_all()
        for pipe in (self._deliveries, self._results):
            os.set_blocking(pipe, False)
        poll.register(self._results, select.EPOLLIN)

    @property
    def is_starting(self) -> bool:
        """Whether the process may not exist yet."""
        return not self._start.is_over

    def give(self, delivery: Delivery, due_s: float) -> None:
        """Give the process a delivery."""
        self.due_s[delivery.id], self.idle_until_s = due_s, None
        self._unsent += delivery.line()
        self._write()

    def results(self) -> list[DeliveryResult]:
        """Return the results that are there; of a process that died, all missing ones."""
        if self.is_over:
            return []
        self._write()
        with suppress(BlockingIOError):
            while chunk := os.read(self._results, _CHUNK):
                self._partial += chunk
            self.is_over = True
        *lines, self._partial = self._partial.split(b"\n")
        results = [result for line in lines if (result := self._known(line)) is not None]
        if self.is_over:
            results += [DeliveryResult(id=name, error=self._end_words()) for name in self.due_s]
            self.due_s.clear()
        return results

    def take_overdue(self, now_s: float) -> list[DeliveryResult]:
        """Give up the deliveries that take too long."""
        overdue = [name for name, due_s in self.due_s.items() if due_s <= now_s]
        for name in overdue:
            del self.due_s[name]
        words = f"no answer within {DELIVERY_S:g} s"
        error = f"{_NOT_STARTED}: {words}" if self.is_starting else words
        return [DeliveryResult(id=name, error=error) for name in overdue]

    def end_if_done(self) -> bool:
        """End the process if it has no more deliveries; return whether it is gone."""
        if self.due_s:
            return False
        self.close()
        if self.is_starting:
            return False
        pid = self._pid()
        if pid is None or _is_reaped(pid):
            return True
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        return _is_reaped(pid)

    def close(self) -> None:
        """Close the pipes, so that the process ends with its deliveries."""
        if not self._is_closed:
            self._is_closed = self.is_over = True
            self._poll.unregister(self._results)
            os.close(self._results)
            os.close(self._deliveries)

    def _pid(self) -> int | None:
        """Return the pid of a process whose start is over; None if it failed."""
        with suppress(OSError, ValueError):
            return self._start.result()
        return None

    def _end_words(self) -> str:
        """Return why deliveries have no result."""
        if self._start.wait(_CLOSING_S):
            try:
                self._start.result()
            except (OSError, ValueError) as error:
                return f"{_NOT_STARTED}: {_why(error)}"
        return "the sender died"

    def _write(self) -> None:
        with suppress(BlockingIOError, BrokenPipeError):  # `results` notices a dead process
            while self._unsent:
                self._unsent = self._unsent[os.write(self._deliveries, self._unsent) :]

    def _known(self, line: bytes) -> DeliveryResult | None:
        result = result_in(line)
        return result if self.due_s.pop(result.id, None) is not None else None


def _pipe(undo: ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        undo.callback(os.close, end)
    return ends


def _start(deliveries: int, results: int) -> int:
    """Start the process with its ends of the pipes, and close them here; return its pid.

    Runs in a thread. In a process group of its own, Ctrl-C does not reach the process or
    its programs. Raises OSError, and ValueError for a variable that no program can receive.
    """
    try:
        pid = posix_spawn.spawn(
            COMMAND[0],
            COMMAND,
            os.environ,
            stdin=deliveries,
            output=results,
            stderr=2,
            directory="/",
            leads=posix_spawn.Leads.GROUP,
        )
        own_children.register(pid)
        return pid
    finally:
        os.close(deliveries)
        os.close(results)


def _is_reaped(pid: int) -> bool:
    """Reap a process if it has ended; return whether it is gone."""
    try:
        is_gone = os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # the sweep of orphans reaped it before it was registered
        is_gone = True
    if is_gone:
        own_children.forget(pid)
    return is_gone


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
