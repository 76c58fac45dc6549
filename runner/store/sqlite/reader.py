"""Another program's view of a SQLite store. Reads files."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from runner.store.lock import owner_pid
from runner.store.protocol import OutputPiece
from runner.store.rows import AlertRow, Coming, ExecutionRow, ResultRow, Snapshot
from runner.store.sqlite import queries
from runner.store.sqlite.connection import (
    connect,
    database_path,
    errors_in_words,
    require_current,
    require_not_emptied,
    unusable,
    version_of,
)
from runner.store.sqlite.files import wal_of
from runner.system.regular_files import is_file, is_missing, is_there

Answer = TypeVar("Answer")


class SqliteReader:
    """A view of the store of a state folder (see `StoreReader`): one read transaction.

    While it is open, the owner cannot reuse the write-ahead log.
    """

    def __init__(self, folder: Path) -> None:
        self._path = database_path(folder)
        with errors_in_words(self._path):
            self._connection = _begin_reading(self._path)

    def executions(self) -> tuple[ExecutionRow, ...]:
        """Return all executions that have not ended, in the order of their ids."""
        return self._ask(queries.executions_of, ())

    def offers(self) -> dict[str, str]:
        """Return nothing: only a store in PostgreSQL offers executions to workers."""
        return {}

    def waiting_records(self) -> Iterator[bytes]:
        """Yield the lines that the monitor log may still lack, oldest first."""
        if self._connection is not None:
            with errors_in_words(self._path):
                yield from (line for _, line in queries.records_after(self._connection, 0))

    def is_in_progress(self, execution: str) -> bool:
        """Return whether an execution has not ended."""
        return self._ask(partial(queries.has_execution, execution=execution), False)

    def last_results(self) -> tuple[ResultRow, ...]:
        """Return the last result of each request, in the order of their names."""
        return self._ask(queries.last_results_of, ())

    def statuses(self) -> dict[str, int]:
        """Return how many requests have each status, in the order of their first names."""
        return self._ask(queries.statuses_of, {})

    def coming(self, at_most: int, *, by_due: bool = False) -> tuple[Coming, ...]:
        """Return the earliest of the next fires; with `by_due`, the fires due first."""
        return self._ask(partial(queries.coming_of, at_most=at_most, by_due=by_due), ())

    def backfills(self) -> dict[str, str]:
        """Return the JSON of each backfill that is not over, by the name of its request."""
        return self._ask(queries.backfills_of, {})

    def results_of(self, request: str) -> tuple[ResultRow, ...]:
        """Return the results of a request, the newest first."""
        return self._ask(partial(queries.results_of, request=request), ())

    def output_pieces(self, execution: str) -> tuple[OutputPiece, ...]:  # noqa: ARG002
        """Return nothing: outputs are files in the state folder."""
        return ()

    def output_sizes(self) -> dict[str, int]:
        """Return nothing: outputs are files in the state folder."""
        return {}

    def output_piece(self, execution: str, number: int) -> bytes:  # noqa: ARG002
        """Return nothing: outputs are files in the state folder."""
        return b""

    def outputs_of_members(self, group: str) -> tuple[tuple[str, str], ...]:  # noqa: ARG002
        """Return nothing: outputs are files in the state folder."""
        return ()

    def snapshot(self) -> Snapshot:
        """Return the content, apart from the lines of the outbox."""
        nothing = Snapshot(requests=(), executions=(), outbox=range(0), mark=None, meta={})
        return self._ask(queries.snapshot_of, nothing)

    def alerts(self) -> tuple[AlertRow, ...]:
        """Return what is known of the checks, by request and check."""
        return self._ask(queries.alerts_of, ())

    def meta(self) -> dict[str, str]:
        """Return what the owner has noted about itself."""
        return self._ask(queries.meta_of, {})

    def fleet(self) -> None:
        """Return None: only a store in PostgreSQL has a fleet."""

    def close(self) -> None:
        """Close the database."""
        if self._connection is not None:
            self._connection.close()

    def _ask(self, question: Callable[[sqlite3.Connection], Answer], nothing: Answer) -> Answer:
        if self._connection is None:
            return nothing
        with errors_in_words(self._path):
            return question(self._connection)


def _begin_reading(path: Path) -> sqlite3.Connection | None:
    """Return a connection inside a read transaction, or None if there is no store yet."""
    if is_missing(path):
        return None
    if is_there(path) and not is_file(path):  # SQLite would wait for the other end of a FIFO
        raise unusable(path, "is not a file")
    try:
        return _reading(path, "mode=ro")
    except sqlite3.OperationalError as error:
        # In a folder that this program may not write, SQLite cannot create the files that
        # it shares with an owner. Without a write-ahead log no owner has the store open,
        # and the database file alone is the whole store.
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN or is_there(wal_of(path)):
            raise
        return _reading(path, "mode=ro&immutable=1")


def _reading(path: Path, options: str) -> sqlite3.Connection | None:
    with ExitStack() as resources:
        connection = resources.enter_context(closing(connect(path, options)))
        connection.execute("BEGIN")
        if version_of(connection, path) == 0:
            # While somebody owns the folder, the empty file is a store in the making.
            if owner_pid(path.parent) is None:
                require_not_emptied(path)
            return None
        require_current(connection, path)
        resources.pop_all()
        return connection
