"""Work on processes that is due now and then: orphan sweeps and memory samples.

A sweep kills and reaps the processes that outlived their execution, and removes the
cgroups of ended executions. Touches processes and /proc.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection
from itertools import islice
from typing import TYPE_CHECKING

from runner.execution.trees import orphans
from runner.execution.trees.watched import Watched, sampled_peak

if TYPE_CHECKING:
    from runner.execution.trees.cgroups import Cgroups

_EVERY_S = 1.0  # between two sweeps; an ended orphan stays a zombie until the next
_AFTER_KILL_S = 0.05  # until a killed orphan can be reaped
_SAMPLES = 16  # memory samples per turn; each costs 20 µs of the loop


class Sweeper:
    """Sweeps and samples. The caller passes monotonic seconds."""

    def __init__(
        self, mains: dict[int, Watched], running: Collection[Watched], cgroups: Cgroups | None
    ) -> None:
        """`mains` are the processes that this runner started, by pid; samples reorder them.

        `running` are the watched executions. Both are views that the owner changes.
        """
        self._mains = mains
        self._running = running
        self._cgroups = cgroups
        self._ended: list[Watched] = []  # reaped, but their orphans may still run
        self._left: set[str] = set()  # ended executions whose cgroup may still exist
        self._sweep_s: float | None = None  # time of the next sweep
        self._swept_s = 0.0  # time of the last sweep
        self._sample_s: float | None = None  # time of the next memory samples
        self.may_be_starting: Callable[[orphans.Orphan], bool] = lambda _: False
        """Whether an unwatched child may have just been started by another thread.

        A sweep must not kill such a child as an orphan.
        """

    def begin(self, now_s: float) -> None:
        """Note that a process was started."""
        self._sweep_s = self._sweep_s if self._sweep_s is not None else now_s + _EVERY_S
        self._sample_s = self._sample_s if self._sample_s is not None else now_s + _EVERY_S

    def sweep_after(self, ended: Watched) -> None:
        """Sweep next time: a process of `mains` was reaped and left it."""
        self._ended.append(ended)
        self._sweep_s = 0.0
        self._sample_s = self._sample_s if self._mains else None

    def remove_cgroup(self, execution: str) -> None:
        """Remove the cgroup of an ended execution next time."""
        self._left.add(execution)
        self._sweep_s = 0.0

    def is_sweep_overdue(self, now_s: float) -> bool:
        """Return whether a sweep has had to wait for long."""
        return self._sweep_s is not None and self._swept_s + 2 * _EVERY_S <= now_s

    def next_s(self) -> float | None:
        """Return when `advance` must be called next; None if nothing is pending.

        Without executions, a sweep only reaps orphans of other programs. PID 1 gets
        those, and so does a program that replaced a shell with children (`sh -c "helper &
        exec runner start"`). They need no deadline: the owner's regular turns suffice.
        """
        times = (self._sweep_s, self._sample_s)
        return min((time_s for time_s in times if time_s is not None), default=None)

    def advance(self, now_s: float, *, may_sweep: bool) -> None:
        """Do what is due. Without `may_sweep` the sweep waits."""
        due_s = self._swept_s + _EVERY_S if self._sweep_s is None else self._sweep_s
        if due_s <= now_s:
            if may_sweep:
                _unless_out_of_descriptors(self._sweep, now_s)
            elif self._sweep_s is not None:
                self._sweep_s = now_s + _AFTER_KILL_S
        if self._sample_s is not None and self._sample_s <= now_s:
            _unless_out_of_descriptors(self._sample, now_s)

    def _sweep(self, now_s: float) -> None:
        """KILL the processes that outlived their execution, and reap dead orphans."""
        self._swept_s, self._sweep_s = now_s, now_s + _EVERY_S
        self._left = self._cgroups.end(self._left) if self._cgroups is not None else set()
        is_killing = orphans.sweep(
            self._mains,
            running=self._running,
            ended=self._ended,
            may_be_starting=self.may_be_starting,
        )
        if is_killing or self._left:
            self._sweep_s = now_s + _AFTER_KILL_S
        else:  # no process of an ended execution is left, so they need no more sweeps
            self._ended.clear()
            self._sweep_s = now_s + _EVERY_S if self._mains else None

    def _sample(self, now_s: float) -> None:
        """Note the peak memory of a few processes, in rotation."""
        self._sample_s = now_s + _EVERY_S if self._mains else None
        for watched in list(islice(self._mains.values(), _SAMPLES)):
            watched.sampled_peak = sampled_peak(watched) or watched.sampled_peak
            self._mains[watched.pid] = self._mains.pop(watched.pid)


def _unless_out_of_descriptors(work: Callable[[float], None], now_s: float) -> None:
    """Do work that reads /proc; without a free descriptor, leave it for the next time."""
    try:
        work(now_s)
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
