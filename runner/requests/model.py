"""Process requests as frozen values. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from runner.lifecycle import Misfire
from runner.timing.rules import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a definition stands: `file` relative to the jobs folder, `line` from 1, `sha256` of the document's bytes.

    `definition` is the JSON text for the store from which the request can be built again without its file. It is no
    part of comparisons: what it says is in the request's own fields.
    """

    file: str
    line: int
    sha256: str
    definition: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Openbravo's context: passed to the process, recorded, and part of the concurrency guard."""

    client: str | None = None
    organization: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program and its arguments, executed directly."""

    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A line for /bin/sh -c."""

    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The process of another request."""

    request: str


Action = Command | Shell | Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What runs. `directory` is absolute; `stop_signal` a signal number; no `timeout` means no bound."""

    name: str
    action: Action
    directory: str
    environment: dict[str, str] = field(default_factory=dict)
    prevent_concurrent: bool = False
    timeout: timedelta | None = None
    stop_signal: int = signal.SIGTERM
    stop_grace: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunImmediately:
    """Once, when it is first seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLater:
    """Once, at `start` (UTC)."""

    start: datetime
    zone: str
    misfire: Misfire = Misfire.FIRE_ONCE
    misfire_grace: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """By a rule, each fire delayed by a stable part of `spread`."""

    rule: Rule
    spread: timedelta = timedelta()
    misfire: Misfire = Misfire.SKIP
    misfire_grace: timedelta = timedelta(seconds=60)


Timing = RunImmediately | RunLater | Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRequest:
    """One document of a jobs folder, valid and resolved."""

    name: str
    process: Process
    timing: Timing | None
    source: Source
    description: str | None = None
    owner: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    context: Context = Context()
    scheduled: bool = True
    reschedule: str | None = None
