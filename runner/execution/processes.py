"""The processes that belong to us, from spawn to exit. One thread owns this; it never blocks.

Time is monotonic seconds, given by the caller. Exits arrive as readable pidfds in the owner's epoll.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from select import epoll

from runner.lifecycle import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What is to be started. `arguments` as for exec; the program is found by PATH of `environment`, or relative to
    `directory` if it has a slash. `environment` is complete. stdout and stderr go to `output_file`, which is created."""

    execution: str
    arguments: tuple[str, ...]
    directory: str
    environment: Mapping[str, str]
    output_file: str
    stop_signal: int
    stop_grace_s: float
    timeout_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A process that runs. `pid_started` is field 22 of /proc/PID/stat: with the pid it is unique per boot."""

    pid: int
    pid_started: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended. `stopped_for` is why we ended it, if we did. For an adopted process all else is None."""

    execution: str
    exit_code: int | None
    signal: int | None
    cpu_s: float | None
    max_rss_bytes: int | None
    stopped_for: Reason | None


class SpawnError(Exception):
    """A process could not be started; the text says why, in words for people."""


class Processes:
    """All processes that run for executions, ours and adopted ones, by execution id."""

    def __init__(self, poll: epoll) -> None:
        """Watch exits through `poll`; become the sub-reaper of this program's descendants (Linux)."""
        raise NotImplementedError

    def spawn(self, launch: Launch, *, now_s: float) -> Started:
        """Start a process in a session of its own. Raises SpawnError."""
        raise NotImplementedError

    def adopt(self, execution: str, *, pid: int | None, pid_started: int | None, stop_signal: int,
              stop_grace_s: float, timeout_left_s: float | None, now_s: float) -> Started | None:
        """Watch a process that a former runner started; None if it no longer runs.

        It is known by pid and start time, or, where they are not known, by RUNNER_EXECUTION_ID in its environment.
        """
        raise NotImplementedError

    def stop(self, execution: str, reason: Reason, *, now_s: float) -> None:
        """Send the stop signal to the whole tree; KILL follows after the grace. The first reason given stays."""
        raise NotImplementedError

    def kill(self, execution: str, reason: Reason) -> None:
        """Send KILL to the whole tree now."""
        raise NotImplementedError

    def enforce(self, now_s: float) -> None:
        """Do what is due: stop what is past its timeout, KILL what outlived its grace."""
        raise NotImplementedError

    def next_deadline_s(self) -> float | None:
        """Return when `enforce` has something to do next."""
        raise NotImplementedError

    def owns(self, descriptor: int) -> bool:
        """Tell whether a descriptor that epoll reports is one of ours."""
        raise NotImplementedError

    def reap(self, descriptor: int) -> Exit:
        """Take the exit of the process behind a readable descriptor; what is left of its tree is killed."""
        raise NotImplementedError
