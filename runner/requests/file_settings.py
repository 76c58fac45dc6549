"""The values of a settings file. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from runner.requests.policies import Retention
from runner.requests.receivers import AlertSettings

RETENTION = Retention(keep_for=timedelta(days=30))
"""The retention of a request if no file sets one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputBounds:
    """Bounds for the outputs of all requests together: their total bytes and their number."""

    size: int = 2**30
    count: int = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """How the page is served. Paths are absolute, or relative to the file's folder."""

    listen: str | None = None
    """HOST:PORT."""
    url: str | None = None
    """The public address of the page."""
    socket: Path | None = None
    behind_proxy: bool = False
    """Whether a proxy does the TLS."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    """None if the key is in the file of `tls_cert`."""


LOST_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings:
    """The values of a settings file; None where it sets none.

    Paths are relative to the file's folder, or absolute.
    """

    timezone: str | None = None
    state: Path | None = None
    store_file: Path | None = None
    monitor_log: Path | None = None
    max_running: int | None = None
    drain: timedelta | None = None
    lost_after: timedelta = LOST_AFTER
    """In a fleet, after how long without a sign of life a worker is lost."""
    retention: Retention = RETENTION
    """For requests that set no retention of their own; `keep_for` is always set."""
    outputs: OutputBounds = OutputBounds()
    alerts: AlertSettings = field(default_factory=AlertSettings)
    web: WebSettings = WebSettings()
