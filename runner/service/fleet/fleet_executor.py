"""Carries out executions on the workers of a fleet: the leader's side. Touches the database.

The commit that makes an execution STARTING also offers it to the workers (`write`), so
`start` has nothing left to do. Workers report; a report becomes an event, and the commit
that has its facts deletes it. Whatever the leader changes in the database is part of a
commit, so a former leader changes nothing any more.
"""

from __future__ import annotations

import select
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from loguru import logger

from runner.errors import StoreError
from runner.execution.executor import (
    Elsewhere,
    ExecutionEvent,
    Lost,
    NotStarted,
    Order,
    Stage,
)
from runner.execution.handed_over import HandedOver
from runner.execution.trees.watched import FormerExecution
from runner.lifecycle import Reason
from runner.service.fleet.lost_executions import LostExecutions
from runner.service.fleet.queue_watch import QueueWatch
from runner.service.fleet.report_inbox import ReportInbox
from runner.store.postgres.connecting.address import Address
from runner.store.postgres.connecting.arrivals import Arrivals
from runner.store.postgres.connecting.connection import Connection, errors_in_words
from runner.store.postgres.connecting.link import Link
from runner.store.postgres.fleet import dispatches
from runner.store.postgres.fleet.worker_side import LOST_AFTER
from runner.store.rows import ExecutionRow
from runner.system.clock import Clock

_REPORTS_LOOK_S = 2.0
"""How often to look for reports without a notification."""
_OFFERS_LOOK_S = 10.0
"""How often to look for offers of which no job will tell a worker."""
_PAUSE_S = 1.0
"""The time between a look that failed and the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What `write` wrote last; it is durable once its commit is."""

    stops: dict[str, bool] = field(default_factory=dict)
    """Whether a worker has taken it, for each stopped execution."""
    reports: tuple[int, ...] = ()
    dropped: int = 0
    """How many of the reports were dropped."""


class FleetExecutor:
    """An `Executor`, and the `CommitPart` of the leader's store."""

    is_local = False
    starting = 0

    def __init__(self, address: Address, clock: Clock, *, lost_after_s: float) -> None:
        """Raises StoreError if the database cannot be reached."""
        self._address = address
        self._clock = clock
        self._stages: dict[str, Stage] = {}
        self._link = Link(address, "runner executor")
        self._arrivals = Arrivals(address, "runner_reports")
        self._inbox = ReportInbox(self._stages, clock)
        self._queues = QueueWatch(clock)
        self._losses = LostExecutions(clock, lost_after_s=lost_after_s)
        self._dispatched: set[str] | None = None
        self._events: list[ExecutionEvent] = []
        self._stops: dict[str, Reason] = {}
        self._unheard: tuple[tuple[str, UUID], ...] = ()
        self._written = _Written()
        self._reports_at_s = self._offers_at_s = 0.0

    @property
    def meta(self) -> dict[str, str]:
        """What the leader notes for the workers."""
        return {LOST_AFTER: str(self._losses.lost_after_s)}

    def note_former(self, meta: Mapping[str, str]) -> None:
        """Note what the former leader noted for the workers.

        A worker that stands still ends what is fenced by that leader's `lost_after`.
        """
        self._losses.outwait(float(meta.get(LOST_AFTER, 0.0)))

    @property
    def unserved(self) -> tuple[str, ...] | None:
        return self._queues.unserved

    # --- the orders

    @property
    def descriptor(self) -> int:
        return self._arrivals.descriptor

    def start(self, order: Order) -> None:
        self._stages.setdefault(order.execution, Stage.STARTING)

    def adopt(self, former: FormerExecution) -> Elsewhere | None:
        """Go on with an execution that is dispatched. Raises StoreError."""
        if self._dispatched is None:
            with self._connected() as connection:
                self._dispatched = dispatches.dispatched(connection)
        if former.execution not in self._dispatched:
            return None
        is_running = former.pid is not None
        self._stages[former.execution] = Stage.RUNNING if is_running else Stage.STARTING
        return Elsewhere.UNDER_WAY

    def stop(
        self,
        execution: str,
        reason: Reason,
        *,
        at_once: bool = False,  # noqa: ARG002 - a leader that stops leaves the executions
    ) -> None:
        if execution in self._stages:
            self._stops.setdefault(execution, reason)

    def events(self) -> list[ExecutionEvent]:
        now_s = self._clock.elapsed_s()
        is_notified = bool(select.select([self.descriptor], [], [], 0)[0])
        if is_notified:
            self._arrivals.clear()
        if is_notified or now_s >= self._next_look_s:
            try:
                with self._connected() as connection:
                    self._look(connection, now_s, is_notified=is_notified)
            except StoreError:  # the store meets the same problem, and reports it
                self._losses.distrust()
                self._reports_at_s = self._offers_at_s = now_s + _PAUSE_S
                self._losses.next_s = self._queues.next_s = now_s + _PAUSE_S
        events, self._events = self._events, []
        return events

    def next_s(self) -> float | None:
        if self._events:
            return self._clock.elapsed_s()
        return self._next_look_s

    def hand_over(self) -> tuple[HandedOver, ...]:
        return ()

    def close(self) -> None:
        self._arrivals.close()
        self._link.close()

    # --- the part of each commit

    def has_changes(self) -> bool:
        return bool(self._stops or self._unheard or self._inbox.noted)

    def write(
        self, connection: Connection, *, started: Sequence[ExecutionRow], ended: Sequence[str]
    ) -> None:
        over = frozenset(ended)
        if offers := {row.id: row.queue for row in started if row.id not in over}:
            dispatches.offer(connection, offers)
        if self._unheard:
            dispatches.offer_again(connection, self._unheard)
        stops = {each: str(reason) for each, reason in self._stops.items() if each not in over}
        self._written = _Written(
            stops=dispatches.stop(connection, stops) if stops else {},
            reports=tuple(self._inbox.noted),
            dropped=self._inbox.dropped,
        )
        if self._inbox.noted:
            dispatches.forget_reports(connection, self._inbox.noted, dropped=self._inbox.dropped)

    def committed(self) -> None:
        written, self._written = self._written, _Written()
        for execution, is_taken in written.stops.items():
            if not is_taken and self._stages.pop(execution, None) is not None:
                self._events.append(NotStarted(execution=execution, why=None))
        self._stops.clear()
        self._inbox.forget(written.reports, dropped=written.dropped)
        self._unheard = ()

    # --- what the database says

    @property
    def _next_look_s(self) -> float:
        return min(self._reports_at_s, self._offers_at_s, self._losses.next_s, self._queues.next_s)

    def _look(self, connection: Connection, now_s: float, *, is_notified: bool) -> None:
        self._arrivals.look()
        # Lost executions first: the report of one may arrive in between, and then it counts.
        lost: dict[str, str] = {}
        if now_s >= self._losses.next_s:
            lost = self._losses.look(connection)
        if is_notified or lost or now_s >= self._reports_at_s:
            self._events += self._inbox.look(connection)
            self._reports_at_s = now_s + (0.0 if self._inbox.is_full else _REPORTS_LOOK_S)
        for execution, node in lost.items():
            if (stage := self._stages.pop(execution, None)) is not None:
                self._events.append(Lost(execution=execution, stage=stage, node=node))
        if now_s >= self._queues.next_s:
            self._queues.look(connection)
        if now_s >= self._offers_at_s:
            self._offers_at_s = now_s + _OFFERS_LOOK_S
            if Stage.STARTING in self._stages.values():
                self._unheard = tuple(dispatches.unheard(connection))
                if self._unheard:
                    logger.debug("offering {} executions again", len(self._unheard))

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with errors_in_words(self._address):
            yield self._link.connection()
