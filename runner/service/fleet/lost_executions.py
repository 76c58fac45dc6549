"""Finds the executions whose worker is lost. Reads the database.

Two cases: nothing was heard of the worker for `fleet.lost_after`, or the worker lives and
does not list the execution, because another machine or another state folder has its name
now, or because it died before it could note what it took.
"""

from __future__ import annotations

from runner.store.postgres.connecting.connection import Connection
from runner.store.postgres.fleet import dispatches
from runner.system.clock import Clock

_LONGEST_LOOK_S = 5.0
_LOOKS_WITHIN = 10
"""At least so many looks fit into `lost_after`."""


class LostExecutions:
    """Looks every few seconds.

    A leader that has just begun to lead, or could not read, may have missed heartbeats. It
    waits for the whole of `lost_after` before it believes that a worker is silent.
    """

    def __init__(self, clock: Clock, *, lost_after_s: float) -> None:
        self._clock = clock
        self.lost_after_s = lost_after_s
        self._look_every_s = min(_LONGEST_LOOK_S, lost_after_s / _LOOKS_WITHIN)
        self._unlisted: set[str] = set()
        self.next_s = 0.0
        """When the next look is due, in elapsed seconds."""
        self._trusted_from_s = 0.0
        self.distrust()

    def distrust(self) -> None:
        """Note that heartbeats may have been missed until now."""
        self.outwait(self.lost_after_s)

    def outwait(self, lost_after_s: float) -> None:
        """Believe in no silence for the next `lost_after_s` seconds."""
        until_s = self._clock.elapsed_s() + lost_after_s
        self._trusted_from_s = max(self._trusted_from_s, until_s)

    def look(self, connection: Connection) -> dict[str, str]:
        """Return the lost executions, with the names of their workers. Raises psycopg.Error.

        An execution that is not listed counts as lost if the next look finds the same: the
        worker may list it with its next heartbeat.
        """
        now_s = self._clock.elapsed_s()
        self.next_s = now_s + self._look_every_s
        found = dispatches.lost(connection, self.lost_after_s)
        unlisted = {each.execution for each in found if not each.is_silent}
        before, self._unlisted = self._unlisted, unlisted
        return {
            each.execution: each.node
            for each in found
            if (each.execution in before and not each.is_silent)
            or (each.is_silent and now_s >= self._trusted_from_s)
        }
