"""The runner's side of the sender: starts it, gives it jobs, and takes their results.

Nothing here waits. A sender with a job that takes too long gets no further job, and is
killed when its other jobs are over. Touches processes and pipes.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress

from runner.notifying.sending.job import JOB_S, Job, Result, result_in
from runner.notifying.sending.sender import COMMAND
from runner.system import own_children
from runner.system.clock import Clock

MOST_JOBS = 32
"""How many jobs a sender has at once."""
_IDLE_S = 5.0
"""How long a sender without jobs is kept: to start one costs about as much as ten jobs."""
_CHUNK = 1 << 16


class SenderProcess:
    """Jobs on their way. `poll` also waits for the results."""

    def __init__(self, poll: select.epoll, clock: Clock) -> None:
        self._poll = poll
        self._clock = clock
        self._sender: _Sender | None = None
        self._leaving: list[_Sender] = []
        self._failed: list[Result] = []  # of jobs that no sender has

    def has_room(self) -> bool:
        """Whether another job may begin."""
        return self._sender is None or len(self._sender.due_s) < MOST_JOBS

    def begin(self, job: Job) -> None:
        """Begin a job; `take` returns its result."""
        if self._sender is None:
            try:
                self._sender = _Sender(self._poll)
            except OSError as error:
                words = f"the sender could not be started: {error.strerror}"
                self._failed.append(Result(id=job.id, error=words))
                return
        self._sender.give(job, self._clock.elapsed_s() + JOB_S)

    def take(self) -> list[Result]:
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
        if self._leaving or self._failed:
            times.append(self._clock.elapsed_s() + 0.1)
        return min(times, default=None)

    def close(self) -> None:
        """Leave the senders to themselves: each ends with its jobs. The next runner repeats
        what has no result yet.
        """
        for sender in self._all():
            if not sender.end_if_done():
                sender.abandon()

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
    """One process. `due_s` has the jobs without a result, and when each is given up."""

    def __init__(self, poll: select.epoll) -> None:
        """Raises OSError."""
        self.due_s: dict[str, float] = {}
        self.idle_until_s: float | None = None
        self.is_over = False
        """Whether the process has ended, or will not take another job."""
        self._poll = poll
        self._unsent, self._partial = b"", b""
        # In a process group of its own, Ctrl-C does not reach it or its programs.
        self._process = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0, cwd="/"
        )
        own_children.register(self._process.pid)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._jobs, self._results = self._process.stdin, self._process.stdout
        for pipe in (self._jobs, self._results):
            os.set_blocking(pipe.fileno(), False)
        poll.register(self._results, select.EPOLLIN)

    def give(self, job: Job, due_s: float) -> None:
        """Give the process a job."""
        self.due_s[job.id], self.idle_until_s = due_s, None
        self._unsent += job.line()
        self._write()

    def results(self) -> list[Result]:
        """Return the results that are there; of a process that died, all missing ones."""
        if self.is_over:
            return []
        self._write()
        with suppress(BlockingIOError):
            while chunk := os.read(self._results.fileno(), _CHUNK):
                self._partial += chunk
            self.is_over = True
        *lines, self._partial = self._partial.split(b"\n")
        results = [result for line in lines if (result := self._known(line)) is not None]
        if self.is_over:
            results += [Result(id=name, error="the sender died") for name in self.due_s]
            self.due_s.clear()
        return results

    def take_overdue(self, now_s: float) -> list[Result]:
        """Give up the jobs that take too long."""
        overdue = [name for name, due_s in self.due_s.items() if due_s <= now_s]
        for name in overdue:
            del self.due_s[name]
        return [Result(id=name, error=f"no answer within {JOB_S:g} s") for name in overdue]

    def end_if_done(self) -> bool:
        """End the process if it has no more jobs; return whether it is gone."""
        if self.due_s:
            return False
        self.close()
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.01)
        if self._process.returncode is None:
            return False
        own_children.forget(self._process.pid)
        return True

    def abandon(self) -> None:
        """Leave the process to itself: it ends with its jobs."""
        self.close()
        self._process.returncode = 0  # nobody waits for it; the library would warn of that

    def close(self) -> None:
        """Close the pipes."""
        self.is_over = True
        if not self._results.closed:
            self._poll.unregister(self._results)
            self._results.close()
        with suppress(OSError):  # the process died, and did not take everything
            self._jobs.close()

    def _write(self) -> None:
        with suppress(BlockingIOError, BrokenPipeError):  # `results` notices a dead process
            while self._unsent:
                self._unsent = self._unsent[os.write(self._jobs.fileno(), self._unsent) :]

    def _known(self, line: bytes) -> Result | None:
        result = result_in(line)
        return result if self.due_s.pop(result.id, None) is not None else None
