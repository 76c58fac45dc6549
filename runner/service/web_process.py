"""The page as a child of the runner: started, started again when it dies, ended with it.

A thread starts the process, because a start can hang on a disk. Only `close` waits, for a
bounded time. Touches a process, a pipe and a thread.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from loguru import logger

import runner
from runner.execution.spawning import posix_spawn
from runner.system import own_children
from runner.system.background_calls import BackgroundThread, Pending
from runner.system.clock import Clock

OF_RUNNER = "_RUNNER_WEB_OF_RUNNER"
"""Set in the environment of a page that is to end with its stdin."""
_PROGRAM = (
    f"import sys; sys.path.insert(0, {str(Path(runner.__file__).parents[1])!r}); "
    "sys.argv[:1] = ['runner', 'web']; from runner.cli import main; main()"
)
"""Works in a checkout, too, wherever the runner was started."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 300.0
_HEALTHY_S = 60.0
"""After running for this long, the next restart comes at once again."""
_END_S = 2.0
"""How long the page may take to end, in seconds; it gives open responses 1 s."""
_LOOK_S = 0.02


class WebProcess:
    """Keeps one `runner web` running. The loop calls `advance` in each turn."""

    def __init__(self, arguments: Sequence[str], clock: Clock) -> None:
        """`arguments` are those of the command `web`."""
        self._command = (sys.executable, "-P", "-c", _PROGRAM, *arguments)
        self._clock = clock
        self._child: _Child | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._start_at_s = 0.0

    def advance(self) -> None:
        """Take note of the child's end, and start it when it is due."""
        now_s = self._clock.elapsed_s()
        if self._child is not None:
            if (end := self._child.end_words()) is not None:
                self._note_end(self._child, end, now_s)
        elif self._start_at_s <= now_s:
            self._start(now_s)

    def next_s(self) -> float | None:
        """Return when the child is due to start, in elapsed seconds; None while it runs."""
        return self._start_at_s if self._child is None else None

    def close(self) -> None:
        """End the child, and wait for that for a moment."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _start(self, now_s: float) -> None:
        try:
            self._child = _Child(self._command, now_s)
        except (OSError, RuntimeError) as error:
            logger.warning("the page could not be started: {}", error)
            self._pause(now_s)

    def _note_end(self, child: _Child, end: str, now_s: float) -> None:
        child.forget()
        self._child = None
        if now_s - child.begun_s >= _HEALTHY_S:
            self._pause_s = _FIRST_PAUSE_S
        logger.warning("the page {}; it starts again in {:g} s", end, self._pause_s)
        self._pause(now_s)

    def _pause(self, now_s: float) -> None:
        self._start_at_s = now_s + self._pause_s
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)


class _Child:
    """One process. It ends by itself when the pipe to its stdin closes, as it does if the
    runner is killed.
    """

    def __init__(self, command: Sequence[str], begun_s: float) -> None:
        """Raises OSError, and RuntimeError if no thread can be started."""
        self.begun_s = begun_s
        theirs, self._pipe = os.pipe()
        background = BackgroundThread("web")
        try:
            self._pid: Pending[int] = background.begin(partial(_started, command, theirs))
        except RuntimeError:
            os.close(theirs)
            os.close(self._pipe)
            raise
        background.close()

    def end_words(self) -> str | None:
        """Return how the process ended; None while it starts or runs."""
        if not self._pid.is_over:
            return None
        try:
            pid = self._pid.result()
        except (OSError, ValueError) as error:
            return f"could not be started: {error}"
        return _end_of(pid)

    def forget(self) -> None:
        """Give back what belongs to an ended process."""
        os.close(self._pipe)
        with suppress(OSError, ValueError):
            own_children.forget(self._pid.result())

    def close(self) -> None:
        """End the process: first politely. One that hangs while it starts ends by itself."""
        if not self._pid.is_over:
            os.close(self._pipe)
            return
        kill_at_s, number = time.monotonic() + _END_S, signal.SIGTERM
        while self.end_words() is None and time.monotonic() < kill_at_s + _END_S:
            _signal(self._pid.result(), number)
            time.sleep(_LOOK_S)
            if time.monotonic() > kill_at_s:
                number = signal.SIGKILL
        self.forget()


def _started(command: Sequence[str], stdin: int) -> int:
    """Start the page, and return its pid. Runs in a thread.

    In a process group of its own, Ctrl-C does not reach it. Raises OSError, and ValueError
    for a variable that no program can receive.
    """
    try:
        pid = posix_spawn.spawn(
            command[0],
            command,
            {**os.environ, OF_RUNNER: "1"},
            stdin=stdin,
            output=2,
            stderr=2,
            directory="/",
            leads=posix_spawn.Leads.GROUP,
        )
        own_children.register(pid)
        return pid
    finally:
        os.close(stdin)


def _end_of(pid: int) -> str | None:
    """Reap a process if it has ended, and return how; None while it runs."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # the sweep of orphans reaped it before it was registered
        return "ended"
    if found == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    return f"ended, exit code {code}" if code >= 0 else f"ended, signal {-code}"


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
