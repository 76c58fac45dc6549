"""The processes of all executions, from start to exit.

One thread owns them, and no call blocks. The caller passes the time, in monotonic
seconds. An exit arrives as a readable pidfd in the owner's epoll. Two rules make the search
for process trees correct: only `Processes` reaps the processes that it starts, and nothing
else in the program starts a session.

The life of an execution's process:

    enter → (stop → kill) → reap → sweep             started by this runner
    adopt → (stop → kill) → reap                     started by a former runner
    hand_over → adopt → (stop → kill) → reap → sweep started by a former program of this process

`reap` kills the process group at once. Descendants that left the group become orphans of
the runner, and the next sweep kills them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from runner.execution.child.program import SpawnError, cause
from runner.execution.deadlines import Deadlines
from runner.execution.former_children import handed_over, watched_child
from runner.execution.handed_over import HandedOver
from runner.execution.output import open_output
from runner.execution.output_limits import OutputLimits
from runner.execution.report import report_left_by
from runner.execution.spawning import inherited_state, open_files
from runner.execution.spawning.spawned_process import SpawnedProcess
from runner.execution.sweeper import Sweeper
from runner.execution.trees import cgroups, orphans, proc, tree_signals
from runner.execution.trees.foreign import Foreign, open_watched
from runner.execution.trees.watched import (
    Exit,
    FormerExecution,
    ProcessId,
    Watched,
    has_ended,
    unknown_exit,
    wait,
)
from runner.lifecycle import Reason

if TYPE_CHECKING:
    from select import epoll  # Linux only; this module can be imported elsewhere


class Processes:
    """All running processes of executions, started or adopted, by execution id."""

    def __init__(self, poll: epoll, handed: Iterable[HandedOver] = ()) -> None:
        """Watch exits through `poll`. `handed` are the children that `adopt` will ask for.

        Become the sub-reaper of all descendants of this process, and take over a
        delegated cgroup (both only on Linux).
        """
        self._poll = poll
        self._watched: dict[str, Watched] = {}
        self._by_descriptor: dict[int, Watched] = {}
        self._mains: dict[int, Watched] = {}  # started by this runner, by pid
        self._handed = {each.execution: each for each in handed}
        self._deadlines = Deadlines()
        self._outputs = OutputLimits()
        self.cgroups = cgroups.take()
        self.sweeper = Sweeper(self._mains, self._watched.values(), self.cgroups)
        self._foreign = Foreign(poll, self._in_cgroup)
        self._is_subreaper = orphans.become_subreaper()
        inherited_state.keep_children_waitable()
        inherited_state.keep_descriptors_from_children()

    def enter(self, spawned: SpawnedProcess, *, now_s: float) -> ProcessId:
        """Watch a process that `spawn_process` started.

        If that fails, kill the process and raise SpawnError.
        """
        launch, pid = spawned.launch, spawned.pid
        try:
            started = spawned.tick
            descriptor = open_watched(pid, self._poll)
        except OSError as error:
            spawned.undo()
            raise SpawnError(
                f"the process cannot be watched and was killed at once: {cause(error)}"
            ) from None
        if spawned.limited_output is not None and launch.output_limit is not None:
            self._outputs.watch(
                launch.execution, spawned.limited_output, launch.output_limit, now_s
            )
        watched = Watched(
            execution=launch.execution,
            pid=pid,
            started=started,
            descriptor=descriptor,
            session=pid,
            stop_signal=launch.stop_signal,
            stop_grace_s=launch.stop_grace_s,
            is_adopted=False,
            report=spawned.report,
            is_supervised=launch.is_supervised,
            own_peak=spawned.own_peak,
            begun_s=now_s,
        )
        self._mains[pid] = watched
        self.sweeper.begin(now_s)
        return self._watch(watched, launch.timeout_s, now_s)

    def adopt(self, former: FormerExecution, *, now_s: float) -> ProcessId | None:
        """Watch an execution that a former runner started.

        Return None if no process of its tree runs. The main process is identified by pid
        and start time, in clock ticks; if the store has neither, by RUNNER_EXECUTION_ID
        in its environment. (A crash between the start and the next commit loses the pid.)
        If the main process has ended but others of its tree run, watch one of those: the
        execution keeps its guard until the last one ends.
        """
        execution, pid = former.execution, former.pid
        handed = self._handed.pop(execution, None)
        child = watched_child(handed, former, self._poll) if handed is not None else None
        if child is not None:
            self._mains[child.pid] = child
            self.sweeper.begin(now_s)
            self._limit_output(former, now_s)
            # The former program asked it to end: KILL follows here, after a full grace period.
            is_ending = child.stopped_for is not None
            left_s = former.stop_grace_s if is_ending else former.timeout_left_s
            return self._watch(child, left_s, now_s)
        found = self._foreign.main(execution, pid, former.pid_started) if pid is not None else None
        found = found or self._foreign.former(execution, pid, former.pid_started)
        if found is None:
            return None
        watched = Watched(
            execution=execution,
            pid=found.pid,
            started=found.started,
            descriptor=found.descriptor,
            session=found.session,
            stop_signal=former.stop_signal,
            stop_grace_s=former.stop_grace_s,
            is_adopted=True,
            report=report_left_by(found.pid) if former.has_condition else None,
        )
        self._limit_output(former, now_s)
        return self._watch(watched, former.timeout_left_s, now_s)

    def hand_over(self) -> tuple[HandedOver, ...]:
        """Return the children for the program that will replace this one.

        The next program adopts the other processes again, as this one did.
        """
        return handed_over(self._mains.values())

    def stop(self, execution: str, reason: Reason, *, now_s: float) -> None:
        """Send the stop signal to the whole tree; KILL follows after the grace period.

        A second stop changes nothing: the first reason stays. Do nothing if the process
        has ended, reaped or not: it ended by itself.
        """
        watched = self._running(execution)
        if watched is None or watched.stopped_for is not None:
            return
        watched.stopped_for = reason
        self._deadlines.set(execution, now_s + watched.stop_grace_s)
        # An adopted leader may have been reaped, and its number reused.
        leader = None if watched.is_adopted else watched.pid
        tree_signals.signal_all(self._tree(watched), watched.stop_signal, leader=leader)

    def kill(self, execution: str, reason: Reason) -> None:
        """Send KILL to the whole tree now. The reason of an earlier stop stays."""
        watched = self._running(execution)
        if watched is not None:
            watched.stopped_for = watched.stopped_for or reason
            self._kill(watched)

    def enforce(self, now_s: float, *, may_sweep: bool = True) -> None:
        """Enforce all limits that are due.

        Stop executions past their timeout or output limit, KILL those past their grace
        period, sweep orphans, and sample memory. Without `may_sweep` the sweep waits.
        """
        for execution in self._deadlines.take(now_s):
            if self._watched[execution].stopped_for is None:
                self.stop(execution, Reason.TIMEOUT, now_s=now_s)
            else:
                self.kill(execution, Reason.TIMEOUT)
        if self._outputs.next_s is not None and self._outputs.next_s <= now_s:
            for execution in self._outputs.look(now_s):
                self.stop(execution, Reason.OUTPUT_LIMIT, now_s=now_s)
        self.sweeper.advance(now_s, may_sweep=may_sweep)

    def next_deadline_s(self) -> float | None:
        """Return when `enforce` must be called next; None if nothing is pending."""
        deadlines = (self._deadlines.next_s(), self._outputs.next_s, self.sweeper.next_s())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def owns(self, descriptor: int) -> bool:
        """Return whether a descriptor from epoll is the pidfd of a watched process."""
        return descriptor in self._by_descriptor

    def reap(self, descriptor: int) -> Exit | None:
        """Reap the process of a readable descriptor; kill the rest of its tree.

        Kill its process group here, at once. The next `enforce`, which is due from now
        on, kills the processes that left the group. Return the exit, or None if the
        execution goes on: an adopted one does while any process of its tree runs.
        """
        watched = self._by_descriptor[descriptor]
        if not has_ended(descriptor):
            return None
        if watched.is_adopted:
            return self._follow(watched)
        # Before wait4: until the process is reaped, the kernel cannot reuse its number.
        tree_signals.signal_group(watched.pid, signal.SIGKILL)
        # A process that left the group would write to the output after its last check.
        if watched.execution in self._outputs:
            tree_signals.kill_all(partial(self._tree, watched))
        self._judge(watched)
        ended = wait(watched)
        self._forget(watched)
        del self._mains[watched.pid]
        self.sweeper.sweep_after(watched)
        return ended

    def close(self) -> None:
        """Stop watching. The processes go on."""
        for watched in list(self._watched.values()):
            self._forget(watched)

    def _limit_output(self, former: FormerExecution, now_s: float) -> None:
        if former.output_limit is not None:
            with suppress(SpawnError):
                output, _ = open_output(former.output_file)
                self._outputs.watch(former.execution, output, former.output_limit, now_s)

    def _watch(self, watched: Watched, timeout_s: float | None, now_s: float) -> ProcessId:
        self._watched[watched.execution] = watched
        self._by_descriptor[watched.descriptor] = watched
        open_files.make_room(watched.descriptor)
        if timeout_s is not None:
            self._deadlines.set(watched.execution, now_s + timeout_s)
        return ProcessId(pid=watched.pid, pid_started=watched.started, begun_s=watched.begun_s)

    def _judge(self, watched: Watched) -> None:
        """Check the output and memory limits of an ended execution a last time.

        Note an exceeded limit as the reason of the end, unless the runner stopped the
        execution for another reason.
        """
        if self._outputs.finish(watched.execution):
            watched.stopped_for = watched.stopped_for or Reason.OUTPUT_LIMIT
        if self.cgroups is not None and (watched.report is not None or watched.is_adopted):
            self.sweeper.remove_cgroup(watched.execution)
            if self.cgroups.is_out_of_memory(watched.execution):
                watched.stopped_for = watched.stopped_for or Reason.MEMORY_LIMIT

    def _in_cgroup(self, execution: str) -> set[int]:
        return self.cgroups.members(execution) if self.cgroups is not None else set()

    def _forget(self, watched: Watched) -> None:
        self._deadlines.drop(watched.execution)
        self._outputs.finish(watched.execution)
        if watched.report is not None:
            watched.report.close()
        del self._watched[watched.execution]
        self._release(watched)

    def _release(self, watched: Watched) -> None:
        del self._by_descriptor[watched.descriptor]
        self._poll.unregister(watched.descriptor)
        os.close(watched.descriptor)

    def _running(self, execution: str) -> Watched | None:
        watched = self._watched.get(execution)
        # An adopted execution goes on when its watched process ends (see `_follow`).
        if watched is None or (not watched.is_adopted and has_ended(watched.descriptor)):
            return None
        return watched

    def _tree(self, watched: Watched) -> set[int]:
        """Return the pids of an execution's tree and of its cgroup.

        An adopted tree has a former runner's descendants, which are no descendants of
        this process: find them by a scan of all processes.
        """
        inside = self._in_cgroup(watched.execution)
        if watched.is_adopted or not self._is_subreaper:
            return inside | proc.members(proc.look_at_all(), watched.execution, watched.session)
        return inside | orphans.own_tree(watched.pid, watched.execution, self._mains)

    def _kill(self, watched: Watched) -> None:
        watched.is_killed = True
        self._deadlines.drop(watched.execution)
        if not watched.is_adopted:
            tree_signals.signal_group(watched.pid, signal.SIGKILL)
        if self.cgroups is not None:
            self.cgroups.kill(watched.execution)
        tree_signals.kill_all(partial(self._tree, watched))

    def _follow(self, watched: Watched) -> Exit | None:
        """Watch another process of an adopted tree; return the exit if none is left.

        If the tree was killed, kill it again: the process may have been forked since.
        """
        found = self._foreign.oldest(watched.execution, watched.session)
        if found is None:
            self._judge(watched)
            ended = unknown_exit(watched)
            self._forget(watched)
            return ended
        self._release(watched)
        watched.pid, watched.started = found.pid, found.started
        watched.session, watched.descriptor = found.session, found.descriptor
        self._by_descriptor[found.descriptor] = watched
        if watched.is_killed:
            self._kill(watched)
        return None
