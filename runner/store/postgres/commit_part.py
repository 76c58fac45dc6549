"""What else belongs into each commit of a fleet's leader: dispatches, jobs and reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from runner.store.postgres.connecting.connection import Connection
from runner.store.rows import ExecutionRow


class CommitPart(Protocol):
    """A part of each commit, in its transaction. Only the thread of the loop calls it."""

    def has_changes(self) -> bool:
        """Whether it has something to write even if the loop commits nothing else."""

    def write(
        self, connection: Connection, *, started: Sequence[ExecutionRow], ended: Sequence[str]
    ) -> None:
        """Write the part, after the rows of the commit.

        `started` are the executions that this commit makes STARTING: each comes once.
        `ended` are ids of executions whose rows it deletes; their dispatches go with them.
        A commit that fails is repeated, and then this too. Raises psycopg.Error.
        """

    def committed(self) -> None:
        """Note that what `write` wrote last is durable."""
