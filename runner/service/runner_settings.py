"""The settings of one runner. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from runner.execution.output import outputs_folder
from runner.requests.file_settings import LOST_AFTER, RETENTION, FileSettings, OutputBounds
from runner.requests.policies import Retention
from runner.requests.receivers import AlertSettings
from runner.store.place import StorePlace


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where a runner finds and keeps things, and its limits.

    All paths are absolute, except `jobs`, which is shown as it was given.
    """

    jobs: Path
    state: Path
    monitor_log: Path
    url: str | None = field(default=None, repr=False)
    """The URL of the store in PostgreSQL, with its password; None for SQLite in `state`."""
    zone: str
    """The IANA key for times without an offset."""
    follows_system_zone: bool = False
    """Whether `zone` is the system's, which may change while the runner runs."""
    max_running: int | None = None
    """Maximum number of concurrent processes; None for no limit."""
    allow_shared_jobs: bool = False
    """Whether other runners may serve the same jobs folder."""
    drain: timedelta = timedelta(seconds=30)
    """How long a stop waits for executions to end by themselves."""
    lost_after: timedelta = LOST_AFTER
    """In a fleet, after how long without a sign of life a worker is lost."""
    retention: Retention = RETENTION
    """For requests that set none of their own."""
    output_bounds: OutputBounds = field(default_factory=OutputBounds)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    """Whom to notify of alerts, and how."""
    page: str | None = None
    """The public URL of the page, for links in messages."""

    from_file: FileSettings = field(default_factory=FileSettings)
    """What runner.yaml said at the start."""

    @property
    def store(self) -> StorePlace:
        """Where the store is."""
        return StorePlace(folder=self.state, url=self.url)

    @property
    def outputs(self) -> Path:
        """The folder with one output file per execution."""
        return outputs_folder(self.state)
