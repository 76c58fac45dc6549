"""What one runner is told from outside. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from runner.execution.output import outputs_folder
from runner.requests.settings import Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where a runner finds and keeps things, and its bounds.

    All paths are absolute, but for `jobs`, which is shown as it was given. `zone` is
    the IANA key for times without an offset; with `follows_system_zone` it is the
    system's, which may change while the runner runs. `max_running` bounds concurrent
    executions (None: no bound). With `allow_shared_jobs` other runners may serve the
    same jobs folder.
    """

    jobs: Path
    state: Path
    monitor_log: Path
    zone: str
    follows_system_zone: bool = False
    max_running: int | None = None
    allow_shared_jobs: bool = False
    drain: timedelta = timedelta(seconds=30)
    retention: Retention = field(default_factory=Retention)

    @property
    def outputs(self) -> Path:
        """The folder that holds a file with the whole output of each execution."""
        return outputs_folder(self.state)
