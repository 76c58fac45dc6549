"""The settings of one worker. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

LOST_AFTER = timedelta(minutes=5)
"""How long a worker waits to hear from the leader when a silent worker counts as lost."""
DEFAULT_QUEUE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker serves, and where it keeps things. All paths are absolute."""

    url: str = field(repr=False)
    """The URL of the store, which may contain a password."""
    state: Path
    """The state folder of this node."""
    jobs: Path
    """This machine's copy of the jobs folder, for the paths of processes."""
    name: str | None = None
    """The worker's name; None for the host's."""
    queues: tuple[str, ...] = (DEFAULT_QUEUE,)
    concurrency: int
    """Maximum number of executions at a time on this worker."""
    allowed_users: frozenset[str] = frozenset()
    """The users that executions may run as; empty for any."""
    drain: timedelta = timedelta(seconds=30)
    """How long a stop waits for executions to end by themselves."""
    drains_with_stdin: bool = False
    """Whether to take nothing more, and leave after the last end, when stdin ends."""

    @property
    def folder(self) -> Path:
        """The worker's own folder, below the state folder."""
        return worker_folder(self.state)


def worker_folder(state: Path) -> Path:
    """Return the folder of the worker with a state folder."""
    return state / "worker"
