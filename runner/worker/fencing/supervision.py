"""The worker's side of its supervisor: starts it, tells it the fence, notices its death.

A thread starts the process, because a start can hang on a disk. Touches a process and
pipes.
"""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import runner
from runner.errors import StoreUnwritableError
from runner.execution.spawning import posix_spawn
from runner.system import own_children
from runner.system.background_calls import BackgroundThread, Pending
from runner.worker.fencing.fence import Fence
from runner.worker.fencing.fence_file import write_fence

_PROGRAM = (
    f"import sys; sys.path.insert(0, {str(Path(runner.__file__).parents[1])!r}); "
    "from runner.worker.fencing.supervisor import main; main(sys.argv[1])"
)


class Supervision:
    """Keeps one supervisor running. The loop calls `advance` in each turn."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._background = BackgroundThread("supervisor")
        self._starting: Pending[tuple[int, int, int]] | None = None
        self._pid: int | None = None
        self._pipes: tuple[int, int] = (-1, -1)
        self.is_ready = False
        """Whether a supervisor runs, so that a fenced execution may start."""

    @property
    def pid(self) -> int | None:
        """The pid of the running supervisor."""
        return self._pid

    def advance(self) -> bool:
        """Start a supervisor if there is none. Return True if one has just died."""
        if self._pid is None:
            self._start()
            return False
        if not self.is_ready and self._is_readable():
            self.is_ready = os.read(self._pipes[1], 1) == b"\n"
        if os.waitpid(self._pid, os.WNOHANG) == (0, 0):
            return False
        own_children.forget(self._pid)
        for pipe in self._pipes:
            os.close(pipe)
        self._pid, self.is_ready = None, False
        return True

    def watch(self, fence: Fence) -> None:
        """Put a fence in force. Raises StoreUnwritableError."""
        try:
            write_fence(self._folder, fence)
        except OSError as error:
            raise StoreUnwritableError(
                f"the fence in {self._folder} cannot be written: {error.strerror}"
            ) from error

    def close(self) -> None:
        """Let the supervisor go on alone; it leaves when nothing is left to watch."""
        if self._starting is not None:
            self._starting.abandon(_close_pipes)
        if self._pid is not None:
            for pipe in self._pipes:
                os.close(pipe)
        self._background.close()

    def _start(self) -> None:
        if self._starting is None:
            self._starting = self._background.begin(partial(_started, str(self._folder)))
        elif self._starting.is_over:
            starting, self._starting = self._starting, None
            with suppress(OSError, ValueError):  # the next turn tries again
                self._pid, *pipes = starting.result()
                self._pipes = (pipes[0], pipes[1])

    def _is_readable(self) -> bool:
        return bool(select.select([self._pipes[1]], [], [], 0)[0])


def _started(folder: str) -> tuple[int, int, int]:
    """Start a supervisor; return its pid, and our ends of its stdin and stdout."""
    stdin, ours = os.pipe()
    answer, stdout = os.pipe()
    try:
        command = (sys.executable, "-P", "-c", _PROGRAM, folder)
        # No session of its own: only executions have one.
        pid = posix_spawn.spawn(
            command[0],
            command,
            os.environ,
            stdin=stdin,
            output=stdout,
            stderr=2,
            directory="/",
            leads=posix_spawn.Leads.GROUP,
        )
        own_children.register(pid)
        return pid, ours, answer
    except BaseException:
        os.close(ours)
        os.close(answer)
        raise
    finally:
        os.close(stdin)
        os.close(stdout)


def _close_pipes(started: tuple[int, int, int]) -> None:
    for pipe in started[1:]:
        os.close(pipe)
