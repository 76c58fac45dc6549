"""The page as a child of the runner: started, started again when it dies, ended with it.

Nothing here waits, and nothing that the child does reaches the loop. Touches a process.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from loguru import logger

import runner
from runner.system import own_children
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
_END_S = 3.0
"""How long the page may take to end, in seconds."""


class WebProcess:
    """Keeps one `runner web` running. The loop calls `advance` in each turn."""

    def __init__(self, arguments: Sequence[str], poll: select.epoll, clock: Clock) -> None:
        """`arguments` are those of the command `web`."""
        self._command = (sys.executable, "-P", "-c", _PROGRAM, *arguments)
        self._poll = poll
        self._clock = clock
        self._child: _Child | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._start_at_s: float | None = 0.0

    def advance(self) -> None:
        """Take note of the child's end, and start it when it is due."""
        now_s = self._clock.elapsed_s()
        if self._child is not None and (code := self._child.exit_code()) is not None:
            self._note_end(self._child, code, now_s)
        if self._start_at_s is not None and self._start_at_s <= now_s:
            self._start(now_s)

    def next_s(self) -> float | None:
        """Return when `advance` has something to do, in elapsed seconds; None for never."""
        return self._start_at_s

    def close(self) -> None:
        """End the child."""
        self._start_at_s = None
        if self._child is not None:
            self._child.end()
            self._child = None

    def _start(self, now_s: float) -> None:
        try:
            self._child = _Child(self._command, self._poll, now_s)
        except OSError as error:
            logger.warning("the page could not be started: {}", error.strerror)
            self._pause(now_s)
        else:
            self._start_at_s = None

    def _note_end(self, child: _Child, code: int, now_s: float) -> None:
        child.forget()
        self._child = None
        if now_s - child.begun_s >= _HEALTHY_S:
            self._pause_s = _FIRST_PAUSE_S
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        logger.warning("the page ended, {}; it starts again in {:g} s", how, self._pause_s)
        self._pause(now_s)

    def _pause(self, now_s: float) -> None:
        self._start_at_s = now_s + self._pause_s
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)


class _Child:
    """One process. It ends itself when the pipe to its stdin closes, as it does if the
    runner is killed.
    """

    def __init__(self, command: Sequence[str], poll: select.epoll, begun_s: float) -> None:
        """Raises OSError."""
        self.begun_s = begun_s
        self._poll = poll
        # In a process group of its own, Ctrl-C does not reach it.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, OF_RUNNER: "1"},
            process_group=0,
        )
        own_children.register(self._process.pid)
        # Readable at the end of the process: the loop turns at once.
        self._descriptor = os.pidfd_open(self._process.pid)
        poll.register(self._descriptor, select.EPOLLIN)

    def exit_code(self) -> int | None:
        """Return the exit code of a process that has ended; negative for a signal."""
        return self._process.poll()

    def forget(self) -> None:
        """Give back what belongs to an ended process."""
        self._poll.unregister(self._descriptor)
        os.close(self._descriptor)
        own_children.forget(self._process.pid)
        assert self._process.stdin is not None
        self._process.stdin.close()

    def end(self) -> None:
        """End the process: first politely."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        self.forget()
