"""What a settings file can say, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

NAME = "runner.yaml"
"""The file's name; it lies beside the jobs folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What is kept of the outputs of executions: by age, by bytes in sum, by number."""

    age: timedelta = timedelta(days=30)
    size: int = 2**30
    count: int = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings:
    """What a settings file says; None where it says nothing. Paths are relative to the
    file's folder, or absolute.
    """

    timezone: str | None = None
    state: Path | None = None
    monitor_log: Path | None = None
    max_running: int | None = None
    drain: timedelta | None = None
    retention: Retention = Retention()
