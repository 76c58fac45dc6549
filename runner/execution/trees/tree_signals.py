"""Sends signals to all processes of an execution's tree. Touches processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection
from contextlib import suppress

# The bound keeps a fork bomb from holding up the loop. Its remaining processes become
# orphans, and a later sweep kills them.
_ROUNDS = 20


def signal_group(leader: int, number: int) -> None:
    """Signal a whole process group at once.

    This includes forks in progress: the kernel fails a fork while a signal is pending.
    """
    # The group is gone; or macOS, which forbids to signal a group of zombies.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def signal_all(tree: Collection[int], number: int, *, leader: int | None) -> None:
    """Signal each process of a tree exactly once.

    `leader` is the leader of the tree's first process group. Pass None if that number may
    belong to another process by now; then every process is signalled on its own.
    """
    if leader is not None:
        signal_group(leader, number)
    for pid in tree:
        with suppress(ProcessLookupError):
            if leader is None or os.getpgid(pid) != leader:
                send(pid, number)


def kill_all(tree: Callable[[], set[int]]) -> None:
    """KILL a tree, and scan it again until no new process appears.

    A process with a pending KILL forks no more, so the scans come to an end.
    """
    killed: set[int] = set()
    for _ in range(_ROUNDS):
        fresh = tree() - killed
        if not fresh:
            break
        for pid in fresh:
            send(pid, signal.SIGKILL)
        killed |= fresh


def send(pid: int, number: int) -> None:
    """Signal one process; ignore that it has ended or changed its user (setuid)."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
