"""A process that was started but is not watched yet. Touches processes.

Starting can hang on a disk, so a spawner thread may do it; watching belongs to the
owner's thread. Any thread may call everything here.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from runner.execution.launch import Launch
from runner.execution.output import Identity, open_output
from runner.execution.report import Report
from runner.execution.spawning.spawn import spawn
from runner.execution.trees import proc, tree_signals
from runner.execution.trees.watched import own_peak
from runner.system.clock import Clock

if TYPE_CHECKING:
    from runner.execution.trees.cgroups import Cgroups


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnedProcess:
    """A process that was started and is not watched yet."""

    launch: Launch
    pid: int
    report: Report | None
    before: int
    """The process started at this clock tick or later."""
    after: int
    """The process started at this clock tick or earlier."""
    own_peak: int
    """Peak memory of the runner at the start, in bytes."""
    at: datetime
    """The wall time just before the start: the process may end at any moment after it."""
    at_s: float
    """The same in the clock's elapsed seconds."""
    output: Identity
    """The output file.

    It exists before the process does, so the process cannot replace it unnoticed with
    another file for the runner to read.
    """
    limited_output: int | None
    """A descriptor of the output, if that has a limit."""

    @property
    def tick(self) -> int:
        """The clock tick at which it started, as in `proc.Stat`. Raises OSError.

        Usually `before` and `after` are the same tick, which is then the answer. Reading
        /proc costs a fifth of a start, because it waits for locks of the new process.
        """
        stat = proc.stat_of(self.pid) if self.before != self.after else None
        return stat.started if stat else self.after

    def undo(self) -> None:
        """Kill the process, reap it, and close what it holds."""
        tree_signals.signal_group(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # reaped already
            os.waitpid(self.pid, 0)
        if self.report is not None:
            self.report.close()
        if self.limited_output is not None:
            os.close(self.limited_output)


def spawn_process(launch: Launch, *, cgroups: Cgroups | None, clock: Clock) -> SpawnedProcess:
    """Start a process. May hang on a disk or a name service. Raises SpawnError."""
    output, identity = open_output(launch.output_file)
    is_kept = False
    try:
        at, at_s, before = clock.now(), clock.elapsed_s(), proc.tick()
        pid, report = spawn(launch, output, cgroups)
        is_kept = launch.output_limit is not None
        return SpawnedProcess(
            launch=launch,
            pid=pid,
            report=report,
            before=before,
            after=proc.tick(),
            own_peak=own_peak(),  # after the start: the runner may have grown until the exec
            at=at,
            at_s=at_s,
            output=identity,
            limited_output=output if is_kept else None,
        )
    finally:
        if not is_kept:
            os.close(output)
