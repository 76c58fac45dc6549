"""Finds the queues that no live worker serves. Reads the database."""

from __future__ import annotations

from runner.requests.building.request import queues_named_in
from runner.store.postgres.connecting.connection import Connection
from runner.store.postgres.fleet import dispatches
from runner.system.clock import Clock

_LOOK_EVERY_S = 5.0
_REQUESTS_EVERY_S = 60.0


class QueueWatch:
    """Looks at the queues that requests name, and those in which executions wait."""

    def __init__(self, clock: Clock) -> None:
        self.unserved: tuple[str, ...] | None = None
        """The queues that are not served; None before the first look."""
        self.next_s = 0.0
        """When the next look is due, in elapsed seconds."""
        self._clock = clock
        self._named: frozenset[str] = frozenset()
        self._requests_at_s = 0.0

    def look(self, connection: Connection) -> None:
        """Look at the queues and the workers. Raises psycopg.Error."""
        now_s = self._clock.elapsed_s()
        self.next_s = now_s + _LOOK_EVERY_S
        if now_s >= self._requests_at_s:
            self._requests_at_s = now_s + _REQUESTS_EVERY_S
            found = map(queues_named_in, dispatches.definitions_with_queues(connection))
            self._named = frozenset().union(*found)
        self.unserved = tuple(dispatches.unserved(connection, self._named))
