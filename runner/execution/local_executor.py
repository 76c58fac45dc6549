"""Carries out executions on this machine. Touches processes."""

from __future__ import annotations

import select
from collections.abc import Iterable

from runner.execution.child.program import SpawnError
from runner.execution.executor import ExecutionEvent, NotStarted, Order, ProcessStarted
from runner.execution.handed_over import HandedOver
from runner.execution.processes import Processes
from runner.execution.spawning.spawned_process import spawn_process
from runner.execution.spawning.spawner_threads import PendingStart
from runner.execution.spawning.spawners import Patience, Spawners
from runner.execution.trees.watched import FormerExecution, ProcessId
from runner.lifecycle import Reason
from runner.system.clock import Clock


class LocalExecutor:
    """An `Executor`: threads start the processes, and the owner watches them.

    The owner alone keeps pidfds, reaps, and decides.
    """

    is_local = True
    unserved = ()

    def __init__(
        self,
        clock: Clock,
        *,
        patience: Patience | None = None,
        handed: Iterable[HandedOver] = (),
    ) -> None:
        """Raises OSError. `patience` is for tests; `handed` come from `hand_over`."""
        self._clock = clock
        self._poll = select.epoll()
        self.processes = Processes(self._poll, handed)
        self._spawners = Spawners(
            lambda launch: spawn_process(launch, cgroups=self.processes.cgroups, clock=clock),
            clock.elapsed_s,
            patience=patience,
        )
        self._poll.register(self._spawners.descriptor, select.EPOLLIN)
        self.processes.sweeper.may_be_starting = self._spawners.may_be_starting
        self._stops: dict[str, tuple[Reason, bool]] = {}
        """Stops of executions whose start is about to return."""
        self._cancelled: list[str] = []

    @property
    def descriptor(self) -> int:
        return self._poll.fileno()

    @property
    def starting(self) -> int:
        return self._spawners.busy

    def start(self, order: Order) -> None:
        self._spawners.start(order)

    def adopt(self, former: FormerExecution) -> ProcessId | None:
        # After a reboot nothing runs, and another program may have the same process id.
        if not former.is_same_boot:
            return None
        return self.processes.adopt(former, now_s=self._clock.elapsed_s())

    def stop(self, execution: str, reason: Reason, *, at_once: bool = False) -> None:
        if self._spawners.cancel(execution):
            self._cancelled.append(execution)
        elif self._spawners.is_starting(execution):
            reason, was_at_once = self._stops.get(execution, (reason, False))
            self._stops[execution] = reason, at_once or was_at_once
        else:
            self._end(execution, reason, at_once)

    def events(self) -> list[ExecutionEvent]:
        # A start returned before its process ended, so its `ProcessStarted` is in an earlier list.
        descriptors = [descriptor for descriptor, _ in self._poll.poll(0)]
        ends = (self.processes.reap(each) for each in descriptors if self.processes.owns(each))
        events: list[ExecutionEvent] = [ended for ended in ends if ended is not None]
        if descriptors or not self._spawners.is_idle:
            events += map(self._entered, self._spawners.take())
            self._cancel_hanging()
        events += (NotStarted(execution=execution, why=None) for execution in self._cancelled)
        self._cancelled.clear()
        self._enforce(self._clock.elapsed_s())
        return events

    def next_s(self) -> float | None:
        if self._cancelled:
            return self._clock.elapsed_s()
        deadlines = (self._spawners.next_s(), self.processes.next_deadline_s())
        return min((each for each in deadlines if each is not None), default=None)

    def hand_over(self) -> tuple[HandedOver, ...]:
        return self.processes.hand_over()

    def close(self) -> None:
        self._spawners.close()
        self.processes.close()
        self._poll.close()

    def _enforce(self, now_s: float) -> None:
        """Enforce what is due; sweep only between starts.

        A sweep reads /proc. While a child becomes its program, /proc may show neither
        that it is new nor whose it is, and the sweep would kill it.
        """
        if self._spawners.busy and self.processes.sweeper.is_sweep_overdue(now_s):
            self._spawners.pause()
        self.processes.enforce(now_s, may_sweep=not self._spawners.busy)
        if not self._spawners.busy:
            self._spawners.resume()

    def _entered(self, start: PendingStart) -> ExecutionEvent:
        """Watch the process of a start that is done."""
        execution = start.order.execution
        stop = self._stops.pop(execution, None)
        try:
            spawned = start.result()
            process = self.processes.enter(spawned, now_s=spawned.at_s)
        except SpawnError as error:
            return NotStarted(execution=execution, why=str(error))
        if stop is not None:
            self._end(execution, *stop)
        return ProcessStarted(
            execution=execution,
            process=process,
            at=spawned.at,
            at_s=spawned.at_s,
            output=spawned.output,
        )

    def _cancel_hanging(self) -> None:
        """Cancel the starts that were asked to end and turned out to hang."""
        for execution in [each for each in self._stops if self._spawners.cancel(each)]:
            del self._stops[execution]
            self._cancelled.append(execution)

    def _end(self, execution: str, reason: Reason, at_once: bool) -> None:
        if at_once:
            self.processes.kill(execution, reason)
        else:
            self.processes.stop(execution, reason, now_s=self._clock.elapsed_s())
