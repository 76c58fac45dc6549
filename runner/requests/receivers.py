"""Who is notified of alerts, how and when: the values of a settings file. Pure.

URLs, users and passwords are secrets. Only the names of the variables that hold them
are here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import time, timedelta
from pathlib import Path

from runner.requests.policies import Route

ALERT_KEYS = frozenset({"receivers", "notify", "quiet", "ping", "environment_file"})
"""The keys of a settings file that `AlertSettings` holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """A message by SMTP. `sender` is the address in From."""

    to: tuple[str, ...]
    sender: str
    host: str = "localhost"
    port: int = 25
    starttls: bool = False
    user_variable: str | None = None
    password_variable: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A message as JSON to a URL."""

    url_variable: str
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Apprise:
    """A message to one of the services that the library `apprise` knows."""

    url_variable: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivingProgram:
    """A message as JSON on the standard input of a command, started in `directory`."""

    command: tuple[str, ...]
    directory: Path


Way = Email | Webhook | Apprise | ReceivingProgram
"""How a message reaches a receiver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietWindow:
    """A daily span in which no message is sent; it is sent at the end of the span.

    The span belongs to the day on which it begins: `days` counts from Monday, 0. A span
    whose end is not after its begin ends on the next day. `zone` is None for the
    runner's, `receivers` for all.
    """

    begins: time
    ends: time
    days: frozenset[int] = frozenset(range(7))
    zone: str | None = None
    receivers: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerPing:
    """The URL that hears from the runner `every` so often, as long as the runner lives."""

    url_variable: str
    every: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """What a settings file says about receivers and pings.

    `environment_file` is an absolute path. Its variables take precedence over the
    runner's own.
    """

    receivers: dict[str, Way] = field(default_factory=dict)
    notify: tuple[Route, ...] = ()
    """For requests without `notify` of their own, and for the runner's own checks."""
    quiet: tuple[QuietWindow, ...] = ()
    ping: RunnerPing | None = None
    environment_file: Path | None = None
