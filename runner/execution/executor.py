"""What carries out executions: the interface, the orders to it and the events from it.

The service gives orders and takes events; it does not know where a process runs.
`LocalExecutor` runs all of them on this machine; in a fleet, workers run them. Types only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from typing import Protocol

from runner.execution.handed_over import HandedOver
from runner.execution.launch import Launch
from runner.execution.output import Identity, Tail
from runner.execution.trees.watched import Exit, FormerExecution, ProcessId
from runner.lifecycle import Reason
from runner.requests.model import RunAs


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The resources that the start of a process touches, each of which may hang.

    Starts with equal needs hang together.
    """

    directory: str
    environment_files: tuple[str, ...]
    path: str | None
    program: str | None
    user: RunAs | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The order to start a process for an execution whose claim is committed."""

    execution: str
    needs: Needs
    prepare: Callable[[], Launch]
    """Builds the launch. It may read files, so it runs in a thread. Raises SpawnError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStarted:
    """A process has started."""

    execution: str
    process: ProcessId
    at: datetime
    at_s: float | None = None
    """The start in the clock's elapsed seconds, for the duration; None on another machine."""
    output: Identity | None = None
    """The output file on this machine; it existed before the process did."""
    node: str | None = None
    """The machine of the process; None for this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotStarted:
    """An ordered process has not started and never will."""

    execution: str
    why: str | None
    """The failure in words for people; None if a stop came first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What only the machine of a process knows about its end."""

    ended: datetime
    duration: timedelta | None
    """By a clock that nobody can set; None if no such clock saw all of it."""
    tail: Tail | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteExit:
    """A process on another machine has ended.

    Its exit code is unknown if it was adopted: its worker had ended meanwhile.
    """

    exited: Exit
    measured: Measured
    is_adopted: bool


class Stage(StrEnum):
    """How far an execution was when it was lost."""

    NEVER_STARTED = "never_started"
    STARTING = "starting"  # perhaps started
    RUNNING = "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """An execution is over, and nobody saw its end: the machine or its worker is gone."""

    execution: str
    stage: Stage
    node: str | None


ExecutionEvent = ProcessStarted | NotStarted | Exit | RemoteExit | Lost
"""Each order leads to `ProcessStarted` or `NotStarted`; an `Exit` or a `RemoteExit` follows
the former. In a fleet `Lost` may take the place of each.
"""


class Elsewhere(Enum):
    """The answer of `Executor.adopt` for an execution that is another machine's."""

    UNDER_WAY = auto()


class Executor(Protocol):
    """Starts, stops and watches the processes of executions.

    One thread owns it. No method waits for a disk, a name service or a child, except for
    a bounded moment.
    """

    is_local: bool
    """Whether the processes run on this machine: then an execution may be claimed ahead of
    its time, and output files are here.
    """

    @property
    def descriptor(self) -> int:
        """Readable when `events` has something to return."""
        ...

    @property
    def unserved(self) -> tuple[str, ...] | None:
        """The queues without a live worker; None as long as this is unknown."""
        ...

    @property
    def starting(self) -> int:
        """How many ordered starts are in progress, apart from those that hang."""
        ...

    def start(self, order: Order) -> None:
        """Start a process; `events` returns what became of it."""
        ...

    def adopt(self, former: FormerExecution) -> ProcessId | Elsewhere | None:
        """Watch an execution that a former runner started; None if nothing of it runs.

        An execution that is under way elsewhere goes on without a further order, and
        `events` returns what becomes of it.
        """
        ...

    def stop(self, execution: str, reason: Reason, *, at_once: bool = False) -> None:
        """Ask an execution to end, or kill it `at_once`. It may still be starting.

        A start that has not begun, or that hangs, is cancelled.
        """
        ...

    def events(self) -> list[ExecutionEvent]:
        """Do what is due, and return what has happened, in order."""
        ...

    def next_s(self) -> float | None:
        """Return when `events` is due next without a descriptor; None if nothing is."""
        ...

    def hand_over(self) -> tuple[HandedOver, ...]:
        """Return the running processes for the program that replaces this one."""
        ...

    def close(self) -> None:
        """Stop watching. Running processes go on; orders that have not begun are dropped."""
        ...
