"""Processes that a former runner started: finding and opening them. Touches /proc and
the owner's epoll.
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

_NO_PROCESS = (
    errno.ESRCH,
    errno.ENOENT,
    errno.EINVAL,
)  # the latter two: by now it is the number of a thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A living process behind a pidfd that the epoll watches."""

    pid: int
    started: int
    session: int
    descriptor: int


def open_watched(pid: int, poll: epoll) -> int:
    """Open a pidfd and watch it. Raises OSError, and leaves nothing open then."""
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
        """`in_cgroup` tells who is in the cgroup of an execution, if it has one."""
        self._poll = poll
        self._in_cgroup = in_cgroup
        self._first_look: dict[int, proc.Seen] | None = None

    def main(self, execution: str, pid: int, started: int | None) -> Opened | None:
        """Open the main process of an execution, known by its start time, else by its environment."""
        if started is None and proc.execution_of(pid) != execution:
            return None
        return self._open(pid, started)

    def former(self, execution: str, pid: int | None, started: int | None) -> Opened | None:
        """Open what is left of an execution of a former runner whose main process, if
        known, has ended.

        The first look at all processes is kept: a tree that was empty then has stayed so.
        """
        session = None if pid is None or _is_taken(pid, started) else pid
        if self._first_look is None:
            self._first_look = proc.look_at_all()
        is_there = proc.members(self._first_look, execution, session) or self._in_cgroup(execution)
        return self.oldest(execution, session) if is_there else None

    def oldest(self, execution: str, session: int | None) -> Opened | None:
        """Open the oldest process of an execution's tree, of the session if it has any
        left; None if nobody is.

        A session's number is not given away while somebody is in it: so whom we watch
        keeps it ours.
        """
        seen = proc.look_at_all()
        tree = proc.members(seen, execution, session) | (self._in_cgroup(execution) & seen.keys())
        ages = sorted(
            (seen[pid].stat.session != session, seen[pid].stat.started, pid) for pid in tree
        )
        return next(filter(None, (self._open(pid, started) for _, started, pid in ages)), None)

    def _open(self, pid: int, started: int | None) -> Opened | None:
        """Open a process if it is alive and, where that is known, the one that started then.

        This is asked after opening: before, the number could pass to another process in between.
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
    """Tell whether another process has the number by now, so that a session of that
    number would be another too.
    """
    stat = proc.stat_of(pid)
    return stat is not None and stat.started != started
