"""Process requests as frozen values. Pure."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from runner.lifecycle import IfInterrupted, Misfire, OnOverlap
from runner.requests.policies import NO_EXPECTATIONS, NO_RETENTION, Expect, Retention, Route
from runner.timing.rules import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a definition is: `file` relative to the jobs folder, `line` from 1,
    `sha256` of its bytes.

    `definition` is the JSON text for the store, from which the request can be rebuilt
    without its file. Comparisons ignore it, because the request's own fields hold its
    content.
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
class Program:
    """A program and its arguments, executed directly."""

    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A line for `/bin/sh -c`."""

    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The process of another request."""

    request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """A callable of a module, called in a process of its own: `package.module:function`."""

    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Processes that run one after another as one execution.

    A member is a reference or an inline process. An inline process inherits the group's
    directory, environment and parameters where it sets none.
    """

    members: tuple[Process, ...]
    stop_on_failure: bool = False


Action = Program | Shell | Python | Group | Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAs:
    """The user that a process runs as, and the group unless it is the user's own.

    Names, or numbers as text.
    """

    user: str
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Resource limits of a process: bytes of memory, CPU time, open files, processes.

    None means unlimited.
    """

    memory: int | None = None
    cpu: timedelta | None = None
    open_files: int | None = None
    processes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """The results that count as success."""

    exit_codes: frozenset[int] = frozenset({0})
    fail_on_stderr: bool = False
    fail_on_output: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Attempts after a failure.

    `attempts` is the total, the first included. `exit_codes` are the failures to retry;
    None means every failure. The second attempt begins `delay` after the first fails;
    each later delay is `backoff` times the one before, up to `max_delay`.
    """

    attempts: int
    delay: timedelta = timedelta(seconds=1)
    backoff: float = 1.0
    max_delay: timedelta | None = None
    exit_codes: frozenset[int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What decides, before a process, whether it runs: `command`, or else `shell`."""

    command: tuple[str, ...] = ()
    shell: str = ""
    timeout: timedelta = timedelta(seconds=30)

    @property
    def action(self) -> Program | Shell:
        """What runs."""
        return Program(arguments=self.command) if self.command else Shell(line=self.shell)


DEFAULT_QUEUE = "default"
"""The queue of a process that names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What runs, and how.

    `directory` and `environment_files` are absolute. `stop_signal` is a signal number.
    Sizes are bytes. None for `timeout` or `output_limit` means unlimited. The values of
    `secrets` (variable names) and of `environment_files` are never shown. `emptied`
    names the fields that the file sets to an empty mapping. `condition` is the key `if`.
    `queue` is None if neither the file nor a group sets it: then it is `DEFAULT_QUEUE`.
    `scheduled` is False only for a member that its group skips.
    """

    name: str
    action: Action
    directory: str
    environment: dict[str, str] = field(default_factory=dict)
    environment_files: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    params: dict[str, Any] = field(default_factory=dict)
    condition: Condition | None = None
    stdin: str | None = None
    run_as: RunAs | None = None
    umask: int | None = None
    nice: int | None = None
    limits: Limits | None = None
    timeout: timedelta | None = None
    stop_signal: int = signal.SIGTERM
    stop_grace: timedelta = timedelta(seconds=10)
    prevent_concurrent: bool = False
    on_overlap: OnOverlap = OnOverlap.REFUSE
    success: Success = Success()
    retry: Retry | None = None
    output_limit: int | None = None
    if_interrupted: IfInterrupted = IfInterrupted.RECORD
    queue: str | None = None
    emptied: tuple[str, ...] = ()
    scheduled: bool = True

    def says(self, field: str) -> bool:
        """Report whether the file sets a field, even to an empty mapping.

        A field that is not set is inherited.
        """
        return bool(getattr(self, field)) or field in self.emptied


@dataclass(frozen=True, slots=True, kw_only=True)
class RunImmediately:
    """Once, when the request is first seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLater:
    """Once, at `start` (UTC)."""

    start: datetime
    zone: str
    misfire: Misfire = Misfire.FIRE_ONCE
    misfire_grace: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """By a rule; each fire is delayed by a stable part of `spread`."""

    rule: Rule
    spread: timedelta = timedelta()
    misfire: Misfire = Misfire.SKIP
    misfire_grace: timedelta = timedelta(seconds=60)


Timing = RunImmediately | RunLater | Schedule


class Outline(Protocol):
    """What decides when a request fires, and what lists show of it.

    A `ProcessRequest` has all of it. The cache of a jobs folder has it for requests that
    are not built.
    """

    @property
    def name(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def timing(self) -> Timing | None: ...
    @property
    def scheduled(self) -> bool: ...
    @property
    def reschedule(self) -> str | None: ...
    @property
    def formerly(self) -> str | None: ...
    @property
    def owner(self) -> str | None: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def receivers(self) -> tuple[str, ...]: ...
    @property
    def retention(self) -> Retention: ...
    @property
    def source(self) -> Source: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRequest:
    """One valid document of a jobs folder, with its defaults.

    `on_success` and `on_failure` name the requests whose processes run afterwards.
    `unschedule_after` is the number of failures in a row that unschedule the request.
    `notify` is None where the runner's own routes apply.
    """

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
    formerly: str | None = None
    on_success: str | None = None
    on_failure: str | None = None
    unschedule_after: int | None = None
    retention: Retention = NO_RETENTION
    ping: str | None = None
    expect: Expect = NO_EXPECTATIONS
    notify: tuple[Route, ...] | None = None

    @property
    def file(self) -> str:
        """The file that supplies it, relative to the jobs folder."""
        return self.source.file

    @property
    def receivers(self) -> tuple[str, ...]:
        """The receivers that its `notify` names."""
        return tuple(sorted({route.to for route in self.notify or ()}))
