"""A process between its start and its watch. Touches processes; any thread may do both."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.execution import assisted
from runner.execution.report import Report
from runner.execution.spawn import Launch, open_output
from runner.execution.trees import proc, signals
from runner.execution.trees.watched import own_peak

if TYPE_CHECKING:
    from runner.execution.trees.cgroups import Cgroups


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A process that was started and is not watched yet. It started between the ticks
    `before` and `after`.
    """

    launch: Launch
    pid: int
    report: Report | None
    before: int
    after: int
    own_peak: int
    output: int | None
    """A descriptor of the output, where that has a limit: the process may remove the file at once.
    """

    @property
    def tick(self) -> int:
        """When it started, as `proc.Stat` has it. Raises OSError.

        Usually before and after are one tick. To ask /proc costs a fifth of a spawn:
        the process is busy with its beginning, or already with its end, and we would
        wait for its locks.
        """
        stat = proc.stat_of(self.pid) if self.before != self.after else None
        return stat.started if stat else self.after

    def undo(self) -> None:
        """Kill it and take its exit."""
        signals.signal_group(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # its exit was taken already: nothing is left to undo
            os.waitpid(self.pid, 0)
        if self.report is not None:
            self.report.close()
        if self.output is not None:
            os.close(self.output)


def begin(launch: Launch, cgroups: Cgroups | None) -> Begun:
    """Start a process. May hang on whatever it touches. Raises SpawnError."""
    output = open_output(launch.output_file) if launch.output_limit is not None else None
    try:
        before = proc.tick()
        pid, report = assisted.start(launch, cgroups)
    except BaseException:
        if output is not None:
            os.close(output)
        raise
    return Begun(
        launch=launch,
        pid=pid,
        report=report,
        before=before,
        after=proc.tick(),
        own_peak=own_peak(),  # not before: we may have grown until it left our memory
        output=output,
    )
