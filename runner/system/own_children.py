"""The pids of the runner's own helper processes, such as `git status`.

The runner waits for each of them by pid, so the sweep of orphans must leave them alone.
They stay in the runner's session: only executions get a session of their own. This is
state of the whole process, owned by the one thread that starts and reaps children.
"""

from __future__ import annotations

_pids: set[int] = set()


def register(pid: int) -> None:
    """Note a helper directly after its start."""
    _pids.add(pid)


def forget(pid: int) -> None:
    """Forget a helper that was reaped: from then on its pid may be reused."""
    _pids.discard(pid)


def is_own_child(pid: int) -> bool:
    """Return whether a child is a helper of the runner."""
    return pid in _pids
