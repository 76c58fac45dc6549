"""A watched process of an execution, and its exit. Touches processes: `wait` reaps."""

from __future__ import annotations

import os
import resource
import select
import sys
from dataclasses import dataclass

from runner.execution.report import Report, ReportContent
from runner.execution.trees import proc
from runner.lifecycle import Reason

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes per unit of ru_maxrss


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessId:
    """A running process."""

    pid: int
    pid_started: int
    """Field 22 of /proc/PID/stat, in clock ticks. With the pid it is unique per boot."""
    begun_s: float | None = None
    """When it began, in the clock's elapsed seconds; None if only its parent knew that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerExecution:
    """An execution that a former runner started."""

    execution: str
    pid: int | None
    pid_started: int | None
    """In clock ticks, as in `ProcessId`."""
    is_same_boot: bool = True
    """Whether the runner's machine is still the one of then, without a reboot since."""
    stop_signal: int
    stop_grace_s: float
    timeout_left_s: float | None
    output_file: str
    output_limit: int | None
    """In bytes."""
    has_condition: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended. For an adopted process only `stopped_for` and `condition` can be
    known.
    """

    execution: str
    exit_code: int | None
    signal: int | None
    cpu_s: float | None
    max_rss_bytes: int | None
    stopped_for: Reason | None
    """Why the runner stopped it; None if it ended by itself."""
    condition: str | None = None
    """Why its condition kept the process from running, as in `ReportContent`."""
    failure: str | None = None
    """Why the launcher could not start the program, in words."""
    result: str | None = None
    """What a callable returned or raised, in words."""
    has_stderr: bool = False
    """Whether the process wrote to stderr; False unless the launch asked for it."""
    failing_text: str | None = None
    """The first of the launch's `failing_texts` that was in the output."""


@dataclass(slots=True, kw_only=True, eq=False)
class Watched:
    """A running execution and the process by which it is watched."""

    execution: str
    pid: int
    """The main process; of an adopted execution, the watched member of its tree."""
    started: int
    """Clock ticks since boot."""
    descriptor: int
    """A pidfd: readable once the process has ended."""
    session: int
    stop_signal: int
    stop_grace_s: float
    is_adopted: bool
    """A former runner started it, so it is not a child of this process."""
    report: Report | None = None
    """Only for a process that was started by the launcher. Of an adopted execution, the
    report of a condition that may still run.
    """
    begun_s: float | None = None
    """When it began, in elapsed seconds; None if it `is_adopted`."""
    is_supervised: bool = False
    """`pid` is the supervisor; the program is its child."""
    own_peak: int = 0
    """Peak memory of the runner itself at the start, in bytes (see `wait`)."""
    sampled_peak: int | None = None
    stopped_for: Reason | None = None
    is_killed: bool = False


def has_ended(descriptor: int) -> bool:
    """Return whether the process of a pidfd has ended, reaped or not."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def own_peak() -> int:
    """Return the peak resident memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT


def sampled_peak(watched: Watched) -> int | None:
    """Return the peak resident memory of the program in bytes; None if unknown."""
    pids = proc.children_of(watched.pid) if watched.is_supervised else [watched.pid]
    return max((proc.peak_memory(pid) or 0 for pid in pids), default=0) or None


def wait(watched: Watched) -> Exit:
    """Reap a child that has ended."""
    try:
        _, status, usage = os.wait4(watched.pid, 0)
    except ChildProcessError:
        # Other code of this process reaped it, against the rule. An unknown exit code is
        # better than a wrong one.
        return unknown_exit(watched)
    content = ReportContent() if watched.report is None else watched.report.read()
    # ru_maxrss also covers the time before exec, when the child shared the runner's
    # memory. So it is at least the runner's own peak at the start, and the peak of a
    # smaller program comes from the samples instead.
    peak = usage.ru_maxrss * _RSS_UNIT
    return Exit(
        execution=watched.execution,
        exit_code=os.WEXITSTATUS(status)
        if os.WIFEXITED(status) and content.failure is None and content.condition is None
        else None,
        signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
        cpu_s=usage.ru_utime + usage.ru_stime,
        max_rss_bytes=peak if peak > watched.own_peak else watched.sampled_peak,
        stopped_for=watched.stopped_for,
        condition=content.condition,
        failure=content.failure,
        result=content.result,
        has_stderr=content.has_stderr,
        failing_text=content.failing_text,
    )


def unknown_exit(watched: Watched) -> Exit:
    """Return the exit of a process whose exit code cannot be known."""
    content = ReportContent() if watched.report is None else watched.report.read()
    return Exit(
        execution=watched.execution,
        exit_code=None,
        signal=None,
        cpu_s=None,
        max_rss_bytes=None,
        stopped_for=watched.stopped_for,
        condition=content.condition,
    )
