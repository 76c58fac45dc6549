"""Another command as a child of `start`, such as the page: started, started again when it
dies, ended with it. Or it goes on under the next program of `start`, and restarts in place.

A thread starts the process, because a start can hang on a disk. Only `close` waits, for a
bounded time. Touches a process, a pipe and a thread.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Self

from loguru import logger

import runner
from runner.execution.spawning import posix_spawn
from runner.service.beside.child_pipe import HandedChild, Successor
from runner.system import early_signals, own_children
from runner.system.background_calls import BackgroundThread, Pending
from runner.system.clock import Clock
from runner.system.inheritance import inheritable

OF_RUNNER = "_RUNNER_CHILD_OF_START"
"""Set in the environment of a command that is to end with its stdin."""
DRAIN_S = "_RUNNER_DRAIN_S"
"""Set in the environment of a worker: how long its runner lets it wait, in seconds."""
_PROGRAM = (
    f"import sys; sys.path.insert(0, {str(Path(runner.__file__).parents[1])!r}); "
    "sys.argv[:1] = ['runner']; from runner.cli import main; main()"
)
"""Works in a checkout, too, wherever the runner was started."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 300.0
_HEALTHY_S = 60.0
"""After running for this long, the next restart comes at once again."""
END_S = 2.0
"""How long a command may take to end, in seconds, if it has nothing to wait for. The page
gives open responses 1 s.
"""
_LOOK_S = 0.02
_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


class ChildCommand:
    """Keeps one `runner` command running. The loop calls `advance` in each turn."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        clock: Clock,
        *,
        variables: Mapping[str, str] = _NO_VARIABLES,
        end_s: float = END_S,
        handed: HandedChild | None = None,
    ) -> None:
        """`arguments` are the command's name and its own arguments. `variables` are added to
        this program's environment.

        `name` is how a person calls it, such as "the page". After SIGTERM it has `end_s`
        seconds to end. `handed` is the child of a former program of this process: it goes on,
        and the installed program replaces its own.
        """
        self._name = name
        self._command = (sys.executable, "-P", "-c", _PROGRAM, *arguments)
        self._variables = {**variables, OF_RUNNER: "1"}
        self._clock = clock
        self._end_s = end_s
        self._child: _Child | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._start_at_s = 0.0
        self._is_ending = False
        if handed is not None:
            self._child = _Child.handed(handed, clock.elapsed_s())
            self._child.replace(Successor(command=self._command, variables=self._variables))

    def advance(self) -> None:
        """Take note of the child's end, and start it when it is due."""
        now_s = self._clock.elapsed_s()
        if self._child is not None:
            if (end := self._child.end_words()) is not None:
                self._note_end(self._child, end, now_s)
        elif self._start_at_s <= now_s and not self._is_ending:
            self._start(now_s)

    def next_s(self) -> float | None:
        """Return when the child is due to start, in elapsed seconds; None if it is not."""
        return self._start_at_s if self._child is None and not self._is_ending else None

    def ask_to_end(self) -> None:
        """Send the child SIGTERM, and do not start it again. A second call sends another."""
        self._is_ending = True
        if self._child is not None:
            self._child.send(signal.SIGTERM)

    def hand_over(self, node: str) -> HandedChild | None:
        """Return the child for the program that replaces this one; None if there is none.

        `node` is the name of this node. A child whose start hangs ends by itself later: it
        learns from the end of its stdin that nobody needs it any more.
        """
        self._is_ending = True
        child, self._child = self._child, None
        return None if child is None else child.hand_over(node)

    def close(self) -> None:
        """End the child, and wait for that for a bounded time."""
        if not self._is_ending:
            self.ask_to_end()
        if self._child is not None:
            self._child.close(self._end_s)
            self._child = None

    def _start(self, now_s: float) -> None:
        try:
            self._child = _Child.started(self._command, self._variables, now_s)
        except (OSError, RuntimeError) as error:
            logger.warning("{} could not be started: {}", self._name, error)
            self._pause(now_s)

    def _note_end(self, child: _Child, end: str, now_s: float) -> None:
        child.forget()
        self._child = None
        if now_s - child.begun_s >= _HEALTHY_S:
            self._pause_s = _FIRST_PAUSE_S
        if not self._is_ending:
            logger.warning("{} {}; it starts again in {:g} s", self._name, end, self._pause_s)
        self._pause(now_s)

    def _pause(self, now_s: float) -> None:
        self._start_at_s = now_s + self._pause_s
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)


class _Child:
    """One process. It ends by itself when the pipe to its stdin closes, as it does if the
    runner is killed.
    """

    def __init__(self, pid: Pending[int], pipe: int, begun_s: float) -> None:
        self.begun_s = begun_s
        self._pid = pid
        self._pipe = pipe

    @classmethod
    def started(cls, command: Sequence[str], variables: Mapping[str, str], begun_s: float) -> Self:
        """Start a process. Raises OSError, and RuntimeError if no thread can be started."""
        theirs, pipe = os.pipe()
        background = BackgroundThread("child")
        try:
            pid = background.begin(partial(_started, command, variables, theirs))
        except RuntimeError:
            os.close(theirs)
            os.close(pipe)
            raise
        background.close()
        return cls(pid, pipe, begun_s)

    @classmethod
    def handed(cls, handed: HandedChild, begun_s: float) -> Self:
        """Go on with the process of a former program of this process."""
        os.set_inheritable(handed.pipe, False)
        own_children.register(handed.pid)
        return cls(Pending.over(handed.pid), handed.pipe, begun_s)

    def replace(self, successor: Successor) -> None:
        """Let another program replace that of the process."""
        successor.send(self._pipe)

    def hand_over(self, node: str) -> HandedChild | None:
        """Return the process for the program that replaces this one; None if it hangs."""
        if self._pid.wait(END_S):
            with suppress(OSError, ValueError):  # it could not be started
                return HandedChild(node=node, pid=self._pid.result(), pipe=inheritable(self._pipe))
        return None

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

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal if it runs."""
        if self.end_words() is None and self._pid.is_over:
            with suppress(ProcessLookupError):
                os.kill(self._pid.result(), number)

    def close(self, end_s: float) -> None:
        """Wait up to `end_s` seconds for the end of the process, then kill it.

        A stopping signal to this program meanwhile is passed on. A process that hangs while
        it starts ends by itself.
        """
        if not self._pid.is_over:
            os.close(self._pipe)
            return
        if not self._has_ended(within_s=end_s):
            self.send(signal.SIGKILL)
            self._has_ended(within_s=END_S)
        self.forget()

    def _has_ended(self, *, within_s: float) -> bool:
        until_s = time.monotonic() + within_s
        while self.end_words() is None:
            if time.monotonic() > until_s:
                return False
            if early_signals.is_stop_asked():
                early_signals.take()
                self.send(signal.SIGTERM)
            time.sleep(_LOOK_S)
        return True


def _started(command: Sequence[str], variables: Mapping[str, str], stdin: int) -> int:
    """Start the command, and return its pid. Runs in a thread.

    In a process group of its own, Ctrl-C does not reach it. Raises OSError, and ValueError
    for a variable that no program can receive.
    """
    try:
        pid = posix_spawn.spawn(
            command[0],
            command,
            {**os.environ, **variables},
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
