"""The helper processes that this program started itself, and waits for by pid.

Whoever sweeps up orphans leaves them alone. They stay in the runner's session: only
executions get one of their own. State of the whole process, owned by the one thread
that starts and reaps children.
"""

from __future__ import annotations

_pids: set[int] = set()


def register(pid: int) -> None:
    """Note a child right after its start."""
    _pids.add(pid)


def forget(pid: int) -> None:
    """Forget a child once it has been waited for: its pid may belong to another process
    from then on.
    """
    _pids.discard(pid)


def is_own_child(pid: int) -> bool:
    """Tell whether a child is such a helper."""
    return pid in _pids
