"""Signals to all processes of an execution's tree. Touches processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection
from contextlib import suppress

# Nobody has to wait for a fork bomb: who is left over will be an orphan, and looked for
# again
_ROUNDS = 20


def signal_group(leader: int, number: int) -> None:
    """Signal a whole process group at once, forks in progress included (the kernel fails those)."""
    with suppress(
        ProcessLookupError, PermissionError
    ):  # all gone; or macOS, where a zombie counts as forbidden
        os.killpg(leader, number)


def signal_all(tree: Collection[int], number: int, *, leader: int | None) -> None:
    """Signal each of a tree once; `leader` is that of its first group, None where that
    number may be taken again.
    """
    if leader is not None:
        signal_group(leader, number)
    for pid in tree:
        with suppress(ProcessLookupError):
            if leader is None or os.getpgid(pid) != leader:
                send(pid, number)


def kill_all(tree: Callable[[], set[int]]) -> None:
    """KILL a tree, and look again until nobody new is there: who has been signalled forks no more."""
    killed: set[int] = set()
    for _ in range(_ROUNDS):
        fresh = tree() - killed
        if not fresh:
            break
        for pid in fresh:
            send(pid, signal.SIGKILL)
        killed |= fresh


def send(pid: int, number: int) -> None:
    """Signal one process that may have ended, or may belong to somebody else by now (setuid)."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
