"""What the connection to the database has to say to the owner of the executions. Types only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.store.postgres.fleet.worker_side import Holding
from runner.store.rows import ExecutionRow, Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The worker is registered. That counts as its first heartbeat."""

    sent_s: float
    """When the registration was sent, in seconds since the boot of the machine."""
    lost_after_s: float
    foreign: frozenset[str]
    """Executions that another identity took under this name: they are not this worker's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """Executions that are now this worker's. Each has its place in the room."""

    rows: Mapping[str, ExecutionRow]
    """By the token of the take."""
    groups: Mapping[str, ExecutionRow]
    """The group executions around them, by id."""
    jobs: str | None
    """The leader's jobs folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Reports that the database has."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A heartbeat that the database acknowledged."""

    sent_s: float
    """When it was sent, in seconds since the boot of the machine."""
    listed: frozenset[str]
    """The executions that it listed."""
    holdings: tuple[Holding, ...]
    is_draining: bool
    asked: Wish | None
    lost_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """Another worker is registered under this name: this one must take nothing more."""


News = Joined | Took | Sent | Beat | Replaced
