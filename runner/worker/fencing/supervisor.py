"""The supervisor: a process beside a worker that ends its fenced executions in time.

It does so whatever becomes of the worker: killed, stopped, hanging, or cut off from the
database. It knows only the fence in the worker's folder, which names the one supervisor in
charge, so it makes way for that of the next worker. Touches processes.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from runner.execution.trees import proc, tree_signals
from runner.execution.trees.cgroups import Cgroups, folder_of
from runner.worker.fencing.fence import Fence, Fenced, now_s
from runner.worker.fencing.fence_file import read_fence

_ALONE_LOOK_S = 1.0
"""How often a supervisor whose worker is gone looks for its successor."""
_NAMED_LOOK_S = 0.25
"""How often a supervisor that has just started looks whether the fence names it."""
_KILL_LOOK_S = 0.25
_CGROUP = "runner"


class Supervisor:
    """Watches over one fence, in the process that the fence names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked: set[str] = set()
        self._is_in_charge = False
        self._cgroups = _cgroups()
        self.is_alone = False
        """Whether the worker is gone."""

    def look(self) -> float | None:
        """Do what is due. Return in how many seconds to look again; None to leave."""
        with suppress(OSError, ValueError):  # then a later look finds it whole
            fence = read_fence(self._folder)
            if fence.supervisor != os.getpid():
                # The worker names a supervisor after its start, perhaps later than it looks.
                return None if self._is_in_charge or self.is_alone else _NAMED_LOOK_S
            self._is_in_charge = True
            if self.is_alone and not any(map(self._tree, fence.executions)):
                return None
            return self._enforce(fence)
        return None if self.is_alone else _ALONE_LOOK_S

    def _enforce(self, fence: Fence) -> float:
        now = now_s()
        if now >= fence.kill_at_s:
            for each in fence.executions:
                self._kill(each)
            next_s = now + _KILL_LOOK_S if fence.executions else now + _ALONE_LOOK_S
        elif now >= fence.term_at_s:
            for each in fence.executions:
                self._ask(each)
            next_s = fence.kill_at_s
        else:
            self._asked.clear()
            next_s = fence.term_at_s
        return min(next_s, now + _ALONE_LOOK_S) - now if self.is_alone else next_s - now

    def _ask(self, fenced: Fenced) -> None:
        if fenced.execution not in self._asked:
            self._asked.add(fenced.execution)
            tree_signals.signal_all(self._tree(fenced), fenced.stop_signal, leader=None)

    def _kill(self, fenced: Fenced) -> None:
        if self._cgroups is not None:
            self._cgroups.kill(fenced.execution)
        tree_signals.kill_all(partial(self._tree, fenced))

    def _tree(self, fenced: Fenced) -> set[int]:
        session = fenced.pid
        stat = None if session is None else proc.stat_of(session)
        if stat is not None and stat.started != fenced.pid_started:
            session = None  # the number belongs to another process by now
        found = proc.members(proc.look_at_all(), fenced.execution, session)
        return found | (self._cgroups.members(fenced.execution) if self._cgroups else set())


def _cgroups() -> Cgroups | None:
    """Return the worker's delegated cgroup; this process is in its leaf, as the worker is."""
    with suppress(OSError):
        own = folder_of(
            Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
        )
        if own is not None and own.name == _CGROUP:
            return Cgroups(base=own.parent, controllers=frozenset())
    return None


def main(folder: str) -> None:
    """Supervise until the fence names another supervisor, or nothing is left to watch.

    Stdin ends with the worker; a byte on stdout says that the supervisor is ready.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they are meant for the worker
    supervisor = Supervisor(Path(folder))
    with suppress(BrokenPipeError):  # the worker has ended already
        os.write(sys.stdout.fileno(), b"\n")
    while (wait_s := supervisor.look()) is not None:
        ends, _, _ = select.select([] if supervisor.is_alone else [0], [], [], max(wait_s, 0.0))
        supervisor.is_alone = supervisor.is_alone or bool(ends)
