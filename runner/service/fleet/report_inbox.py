"""Turns the reports of workers into events, each once. Reads the database.

A report that does not fit what the leader knows is dropped and counted: a repeated one, one
about an execution that is over, or a malformed one. The rows stay until a commit has the
facts of their events.
"""

from __future__ import annotations

from collections.abc import Iterable

from loguru import logger

from runner.execution.executor import (
    Lost,
    NotStarted,
    ProcessStarted,
    RemoteExit,
    Stage,
)
from runner.execution.node_reports import Reported, event_of
from runner.store.postgres.connecting.connection import Connection
from runner.store.postgres.fleet import dispatches
from runner.store.postgres.fleet.dispatches import ReportRow
from runner.system.clock import Clock

_AT_MOST = 1000
_PATIENCE_S = 10.0
"""How long the end of a process waits for the report of its start."""


class ReportInbox:
    """Reads reports. `stages` are the executions under way, which it keeps up to date."""

    def __init__(self, stages: dict[str, Stage], clock: Clock) -> None:
        self.dropped = 0
        """How many of `noted` were dropped."""
        self.noted: set[int] = set()
        """The reports that were taken or dropped, and that the next commit deletes."""
        self.is_full = False
        """Whether the last look left reports unread."""
        self._stages = stages
        self._clock = clock
        self._early: dict[int, float] = {}
        """Ends whose start was not reported yet, and until when each waits for it."""

    def look(self, connection: Connection) -> list[Reported]:
        """Return the events of new reports. Raises psycopg.Error."""
        rows = dispatches.reports(connection, self.noted, at_most=_AT_MOST)
        self.is_full = len(rows) == _AT_MOST
        return [event for row in rows if (event := self._event(row)) is not None]

    def forget(self, ids: Iterable[int], *, dropped: int) -> None:
        """Forget reports that were deleted; `dropped` of them were no events."""
        self.noted.difference_update(ids)
        self.dropped -= dropped

    def _event(self, row: ReportRow) -> Reported | None:
        """Return the event of a report; None if it is dropped, or must wait."""
        try:
            event = event_of(row.execution, row.node, row.kind, row.body)
        except ValueError as error:
            self._drop(row, str(error))
            return None
        match event, self._stages.get(row.execution):
            case _, None:
                self._drop(row, "the execution is over")
                return None
            case ((ProcessStarted() | NotStarted()), Stage.RUNNING):
                self._drop(row, "its start was reported before")
                return None
            case RemoteExit(), Stage.STARTING:
                return self._early_end(row)
        if isinstance(event, ProcessStarted):
            self._stages[row.execution] = Stage.RUNNING
        else:
            del self._stages[row.execution]
        self.noted.add(row.id)
        return event

    def _early_end(self, row: ReportRow) -> Reported | None:
        """Let an end wait for the report of its start; without one the execution is lost."""
        now_s = self._clock.elapsed_s()
        if now_s < self._early.setdefault(row.id, now_s + _PATIENCE_S):
            return None
        del self._early[row.id], self._stages[row.execution]
        self.noted.add(row.id)
        return Lost(execution=row.execution, stage=Stage.RUNNING, node=row.node)

    def _drop(self, row: ReportRow, why: str) -> None:
        self.dropped += 1
        self.noted.add(row.id)
        logger.debug("dropped a report of {} ({} {}): {}", row.node, row.kind, row.execution, why)
