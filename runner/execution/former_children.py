"""The children of a process over an execve: handed over by one program, watched by the next.

Touches processes and descriptors.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from runner.execution.handed_over import HandedOver
from runner.execution.report import Report
from runner.execution.trees.foreign import open_watched
from runner.execution.trees.watched import FormerExecution, Watched
from runner.system.inheritance import inheritable

if TYPE_CHECKING:
    from select import epoll  # Linux only; this module can be imported elsewhere


def handed_over(children: Iterable[Watched]) -> tuple[HandedOver, ...]:
    """Return the children for the program that will replace this one."""
    return tuple(
        HandedOver(
            execution=each.execution,
            pid=each.pid,
            pid_started=each.started,
            begun_s=each.begun_s,
            report=None if each.report is None else inheritable(each.report.descriptor),
            secrets=() if each.report is None else tuple(each.report.secrets),
            is_supervised=each.is_supervised,
            own_peak=each.own_peak,
            sampled_peak=each.sampled_peak,
            stopped_for=each.stopped_for,
        )
        for each in children
        if each.begun_s is not None
    )


def watched_child(handed: HandedOver, former: FormerExecution, poll: epoll) -> Watched | None:
    """Watch a child that was handed over, dead or alive; None if this process is not its parent."""
    report = None
    if handed.report is not None:
        os.set_inheritable(handed.report, False)
        report = Report(descriptor=handed.report, secrets=frozenset(handed.secrets))
    try:
        os.waitid(os.P_PID, handed.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        descriptor = open_watched(handed.pid, poll)
    except OSError:
        if report is not None:
            report.close()
        return None
    return Watched(
        execution=handed.execution,
        pid=handed.pid,
        started=handed.pid_started,
        descriptor=descriptor,
        session=handed.pid,
        stop_signal=former.stop_signal,
        stop_grace_s=former.stop_grace_s,
        is_adopted=False,
        report=report,
        begun_s=handed.begun_s,
        is_supervised=handed.is_supervised,
        own_peak=handed.own_peak,
        sampled_peak=handed.sampled_peak,
        stopped_for=handed.stopped_for,
    )
