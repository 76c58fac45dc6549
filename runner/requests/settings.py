"""The values of a settings file. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from runner.requests.receivers import AlertSettings

NO_JOBS_HINT = "create it with mkdir, set up a new folder with `runner init DIR`, or use --jobs"
"""What to do if there is no jobs folder."""
NAME = "runner.yaml"
"""The name of the settings file; it lies beside the jobs folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long to keep the outputs of executions: by age, by total bytes, by number."""

    age: timedelta = timedelta(days=30)
    size: int = 2**30
    count: int = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings:
    """The values of a settings file; None where it sets none.

    Paths are relative to the file's folder, or absolute.
    """

    timezone: str | None = None
    state: Path | None = None
    monitor_log: Path | None = None
    max_running: int | None = None
    drain: timedelta | None = None
    retention: Retention = Retention()
    alerts: AlertSettings = field(default_factory=AlertSettings)
