"""A process that a runner hands over when it replaces its own program (execve(2)).

The process stays a child of the same pid, so the new program can collect its exit code.
Types only.
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.lifecycle import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """The process of a running execution, and what only its runner knows about it."""

    execution: str
    pid: int
    pid_started: int
    """In clock ticks, as in `ProcessId`."""
    begun_s: float
    """The start in the clock's elapsed seconds, which go on over an execve."""
    report: int | None
    """The descriptor of its report, inherited by the new program."""
    secrets: tuple[str, ...]
    """The values to mask in the report."""
    is_supervised: bool
    own_peak: int
    sampled_peak: int | None
    stopped_for: Reason | None
