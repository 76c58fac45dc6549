"""A store that moves to PostgreSQL: its content, and the mark that it was moved. Touches files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from runner.errors import StoreError
from runner.store.lock import take_lock
from runner.store.rows import ResultRow, Snapshot
from runner.store.sqlite import queries, schema
from runner.store.sqlite.connection import (
    check,
    connect,
    database_path,
    errors_in_words,
    migrate,
)
from runner.system.regular_files import is_missing


class MovingStore:
    """A store that no runner owns, while its content is copied."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    def snapshot(self) -> Snapshot:
        """Return the content, apart from the lines of the outbox and the results."""
        return queries.snapshot_of(self._connection)

    def records(self) -> Iterator[bytes]:
        """Yield the lines that the monitor log may lack."""
        return (line for _, line in queries.records_after(self._connection, 0))

    def results(self) -> tuple[ResultRow, ...]:
        """Return all results."""
        return queries.results_before(self._connection, None, 2**62)

    def mark_as_moved(self, *, is_moved: bool = True) -> None:
        """Let every version of Runner refuse the store from now on, durably; or undo that."""
        number = schema.MOVED_ID if is_moved else schema.APPLICATION_ID
        self._connection.execute(f"PRAGMA application_id = {number}")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


@contextmanager
def moving_store(folder: Path) -> Iterator[MovingStore]:
    """Lock a store that is to move, also one that was marked by a copy that failed.

    Raises StoreInUseError while a runner owns it, and StoreError without a usable store.
    """
    path = database_path(folder)
    if is_missing(path):
        raise StoreError(f"there is no store {path} to copy")
    with (
        take_lock(folder),
        errors_in_words(path),
        closing(connect(path, "mode=rw")) as connection,
    ):
        store = MovingStore(path, connection)
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application == schema.MOVED_ID:
            store.mark_as_moved(is_moved=False)
        try:
            migrate(connection, path)
            check(connection, path)
            yield store
        except BaseException:
            if application == schema.MOVED_ID:
                store.mark_as_moved()
            raise
