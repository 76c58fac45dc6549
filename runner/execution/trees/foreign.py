"""Finds and opens the processes that a former runner started (adoption).

They are not children of this process: it can neither wait for them nor learn their exit
code. A pidfd shows only that such a process has ended. Touches /proc and the owner's
epoll.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.execution.trees import proc

if TYPE_CHECKING:
    from select import epoll

# pidfd_open(2) fails with ESRCH for a free number. ENOENT (newer kernels) and EINVAL mean
# that the number now belongs to a thread, so the process is gone as well.
_NO_PROCESS = (errno.ESRCH, errno.ENOENT, errno.EINVAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A living process behind a pidfd that the epoll watches."""

    pid: int
    started: int
    session: int
    descriptor: int


def open_watched(pid: int, poll: epoll) -> int:
    """Open a pidfd and watch it. Raises OSError, and then leaves nothing open."""
    descriptor = os.pidfd_open(pid)
    try:
        poll.register(descriptor, select.EPOLLIN)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class Foreign:
    """Opens processes that are not our children."""

    def __init__(self, poll: epoll, in_cgroup: Callable[[str], set[int]]) -> None:
        """`in_cgroup` returns the pids in the cgroup of an execution, if it has one."""
        self._poll = poll
        self._in_cgroup = in_cgroup
        self._first_look: dict[int, proc.Seen] | None = None

    def main(self, execution: str, pid: int, started: int | None) -> Opened | None:
        """Open the main process of an execution; return None if it has ended.

        A pid alone is not enough: the kernel reuses pids. The start time proves that it
        is the same process, and where it is unknown, RUNNER_EXECUTION_ID does.
        """
        if started is None and proc.execution_of(pid) != execution:
            return None
        return self._open(pid, started)

    def former(self, execution: str, pid: int | None, started: int | None) -> Opened | None:
        """Open a process left of an execution whose main process has ended or is unknown.

        Return None if no process is left. The first scan of all processes is kept for
        all executions of a former runner: it rules out most of them, because a tree that
        was empty then cannot grow again.
        """
        session = None if pid is None or _is_taken(pid, started) else pid
        if self._first_look is None:
            self._first_look = proc.look_at_all()
        is_there = proc.members(self._first_look, execution, session) or self._in_cgroup(execution)
        return self.oldest(execution, session) if is_there else None

    def oldest(self, execution: str, session: int | None) -> Opened | None:
        """Open the oldest process of an execution's tree; return None if none is left.

        Prefer a process in the execution's session. The kernel does not reuse a session's
        number while a process is in the session, so a watched member keeps the number
        valid as a way to find the tree.
        """
        seen = proc.look_at_all()
        tree = proc.members(seen, execution, session) | (self._in_cgroup(execution) & seen.keys())
        ages = sorted(
            (seen[pid].stat.session != session, seen[pid].stat.started, pid) for pid in tree
        )
        return next(filter(None, (self._open(pid, started) for _, started, pid in ages)), None)

    def _open(self, pid: int, started: int | None) -> Opened | None:
        """Open a process if it is alive and started at the tick `started`, if given.

        Compare the start time after opening: a pidfd stays with its process. Before it,
        the number could pass to another process between the comparison and the opening.
        """
        try:
            descriptor = open_watched(pid, self._poll)
        except OSError as error:
            if error.errno in _NO_PROCESS:
                return None
            raise
        stat = proc.stat_of(pid)
        if stat is None or stat.is_dead or started not in (None, stat.started):
            self._poll.unregister(descriptor)
            os.close(descriptor)
            return None
        return Opened(pid=pid, started=stat.started, session=stat.session, descriptor=descriptor)


def _is_taken(pid: int, started: int | None) -> bool:
    """Return whether another process now has the number.

    Then a session of that number is another session, too.
    """
    stat = proc.stat_of(pid)
    return stat is not None and stat.started != started
