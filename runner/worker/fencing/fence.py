"""When the executions that must not overlap with a repetition have to end. Pure.

The leader counts the executions of a silent worker as lost after `lost_after`, and may then
run them again. Such an execution must have ended by then, wherever its worker is cut off.
So everything counts from the *sending* of the last heartbeat that the database acknowledged:
the leader cannot have begun to count earlier. The clock is CLOCK_BOOTTIME, which goes on
while the machine sleeps.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from runner.lifecycle import IfInterrupted
from runner.requests.model import Process

_TERM_AT, _KILL_AT = 1 / 2, 3 / 4
"""The parts of `lost_after` after which a fenced execution is asked to end, and killed."""


def now_s() -> float:
    """Return the seconds since the boot of the machine, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def is_fenced(process: Process) -> bool:
    """Return whether a further execution may follow as soon as this one counts as lost."""
    return process.prevent_concurrent or process.if_interrupted is IfInterrupted.RERUN


@dataclass(frozen=True, slots=True, kw_only=True)
class Fenced:
    """A fenced execution; by what it is found among the processes, and how it is ended."""

    execution: str
    stop_signal: int
    pid: int | None = None
    """Its main process; None while it is starting."""
    pid_started: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """The fenced executions of a worker, and when they have to end."""

    supervisor: int
    """The pid of the process that watches over this fence; any other one leaves."""
    acknowledged_s: float
    """When the last acknowledged heartbeat was sent, in seconds since the boot."""
    lost_after_s: float
    executions: tuple[Fenced, ...] = ()

    @property
    def term_at_s(self) -> float:
        """When the executions are asked to end, in seconds since the boot."""
        return self.acknowledged_s + self.lost_after_s * _TERM_AT

    @property
    def kill_at_s(self) -> float:
        """When the executions are killed, in seconds since the boot."""
        return self.acknowledged_s + self.lost_after_s * _KILL_AT
