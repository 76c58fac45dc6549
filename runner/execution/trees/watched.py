"""An execution's process while it is watched, and how it ended. Touches processes: `wait` reaps."""

from __future__ import annotations

import os
import resource
import select
import sys
from dataclasses import dataclass

from runner.execution.report import Report, Told
from runner.execution.trees import proc
from runner.lifecycle import Reason

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A process that runs. `pid_started` is field 22 of /proc/PID/stat: with the pid it
    is unique per boot.
    """

    pid: int
    pid_started: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended. `stopped_for` is why we ended it, if we did. For an adopted
    process all else is None.

    `failure` says in words why the program could not be started after all, `result`
    what a callable returned or raised, `has_stderr` whether anything was written to
    stderr, where that was asked.
    """

    execution: str
    exit_code: int | None
    signal: int | None
    cpu_s: float | None
    max_rss_bytes: int | None
    stopped_for: Reason | None
    failure: str | None = None
    result: str | None = None
    has_stderr: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Watched:
    """An execution that runs. `pid` is its main process; of an adopted one, the member
    of its tree that we watch.
    """

    execution: str
    pid: int
    started: int
    descriptor: int
    session: int
    stop_signal: int
    stop_grace_s: float
    is_adopted: bool
    report: Report | None = None  # of what the launcher started
    is_supervised: bool = False  # `pid` is our supervisor's, the program its child
    own_peak: int = 0  # ours, in bytes, when it began
    sampled_peak: int | None = None
    stopped_for: Reason | None = None
    is_killed: bool = False


def has_ended(descriptor: int) -> bool:
    """Tell whether the process behind a pidfd has ended, reaped or not."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def own_peak() -> int:
    """Return the most bytes that this program has held in memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT


def sampled_peak(watched: Watched) -> int | None:
    """Return the most bytes that its program has held in memory so far, None if that is not known."""
    pids = proc.children_of(watched.pid) if watched.is_supervised else [watched.pid]
    return max((proc.peak_memory(pid) or 0 for pid in pids), default=0) or None


def wait(watched: Watched) -> Exit:
    """Reap a process of ours that has ended."""
    try:
        _, status, usage = os.wait4(watched.pid, 0)
    except (
        ChildProcessError
    ):  # somebody else took it, against the rule: better no exit code than a wrong one
        return unknown_exit(watched)
    told = Told() if watched.report is None else watched.report.read()
    peak = usage.ru_maxrss * _RSS_UNIT  # never less than what we held when we started it
    return Exit(
        execution=watched.execution,
        exit_code=os.WEXITSTATUS(status) if os.WIFEXITED(status) and told.failure is None else None,
        signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
        cpu_s=usage.ru_utime + usage.ru_stime,
        max_rss_bytes=peak if peak > watched.own_peak else watched.sampled_peak,
        stopped_for=watched.stopped_for,
        failure=told.failure,
        result=told.result,
        has_stderr=told.has_stderr,
    )


def unknown_exit(watched: Watched) -> Exit:
    """Say that it ended, and that nobody can know how."""
    return Exit(
        execution=watched.execution,
        exit_code=None,
        signal=None,
        cpu_s=None,
        max_rss_bytes=None,
        stopped_for=watched.stopped_for,
    )
