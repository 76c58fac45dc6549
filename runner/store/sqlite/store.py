"""The owner's side of a store in one SQLite file. Touches files.

Every commit is one transaction with `synchronous=FULL`. The owner commits one `Batch` per
turn. Other programs read (`reader`), and write only to the `commands` table (`mailbox`).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from runner.errors import StoreError, StoreUnwritableError
from runner.store.known_definitions import KnownDefinitions
from runner.store.lock import (
    note_record,
    note_start,
    noted_record,
    noted_start,
    take_lock,
)
from runner.store.protocol import StoredOutput
from runner.store.rows import Batch, CommandRow, Mark, ResultRow, Snapshot
from runner.store.sqlite import inbox, schema
from runner.store.sqlite.changes import forget_records, write_batch, write_definitions
from runner.store.sqlite.connection import (
    connect,
    create_file,
    database_path,
    errors_in_words,
    require_not_emptied,
    require_writable,
    row_errors_in_words,
    transaction,
)
from runner.store.sqlite.database import Database, prepare
from runner.store.sqlite.queries import records_after, results_before, snapshot_of
from runner.store.sqlite.wake import drain_wake, open_wake
from runner.system.inheritance import inheritable

_UNTIDY_COMMITS = 50
_MOST_PAGES_IN_LOG = 4000
"""Pages in the write-ahead log from which a commit checkpoints itself.

This is four times SQLite's default. Usually `tidy` checkpoints sooner, while no claim
waits for it.
"""


class SqliteStore:
    """The store of a state folder (see `Store`). While open it holds a flock on `lock`."""

    has_changes = False

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: BinaryIO) -> None:
        """Call `own` instead; this only takes over what `own` opened."""
        self._path = path
        self._lock = lock
        last = connection.execute(schema.LAST_RECORD).fetchone()
        self._last: int = last[0] if last else 0
        self.notice = self._set_back(noted_record(lock))
        self._former_start = noted_start(lock)
        self._latest_start = 0
        self._definitions = KnownDefinitions()
        self._untidy = 0
        self._wake: int | None = None
        self._is_closed = False
        self._database = Database(path, connection)
        self._note_last()

    @classmethod
    def own(cls, folder: Path, handed: int | None = None) -> SqliteStore:
        """Create or open the store in `folder` and lock it (see `own_store`).

        Commands that a dead owner took are withdrawn, and commands a day past their
        deadline are forgotten. If the store is older than its last owner left it, `notice`
        says so.
        """
        path = database_path(folder)
        with ExitStack() as resources, errors_in_words(path):
            lock = resources.enter_context(_locked(folder, path, handed))
            connection = resources.enter_context(closing(connect(path, "mode=rw")))
            prepare(connection, path)
            store = cls(path, connection, lock)
            resources.pop_all()
            return store

    @property
    def hindrance(self) -> str | None:
        """Why the write-ahead log keeps growing; None if it is small."""
        return self._database.hindrance

    def load(self) -> Snapshot:
        """Return the whole content, apart from the lines of the outbox. Raises StoreError."""
        with errors_in_words(self._path):
            snapshot = snapshot_of(self._database.connection)
        self._definitions.note(snapshot.requests)
        return replace(snapshot, latest_noted_start=self._former_start)

    def row_errors_in_words(self) -> AbstractContextManager[None]:
        """Raise StoreError for a row of the snapshot that the block cannot read."""
        return row_errors_in_words(self._path)

    def commit(
        self, batch: Batch, *, appended: tuple[int, Mark] | None = None
    ) -> tuple[tuple[int, bytes], ...]:
        """Write the batch in one transaction, and return its records with their numbers."""
        if not batch and appended is None:
            return ()
        self.check()
        require_writable(self._path)
        records = tuple(enumerate(batch.records, self._last + 1))
        definitions = self._definitions.new_in(batch)
        connection = self._database.connection
        with errors_in_words(self._path), transaction(connection):
            if appended is not None:
                forget_records(connection, *appended)
            write_batch(connection, batch)
            write_definitions(connection, definitions)
            connection.executemany(schema.INSERT_RECORD, records)
        self._last += len(records)
        self._database.note_commit()
        self._note_last()
        self._untidy += 1
        self._definitions.note_commit(batch, definitions)
        if self._database.pages_in_log >= _MOST_PAGES_IN_LOG:
            # If the checkpoint fails, the next commit tries again; this one is durable.
            with suppress(StoreUnwritableError), errors_in_words(self._path):
                self._database.checkpoint()
        return records

    def note_start(self, due: int) -> None:
        """Note that an execution is about to start, if it is due later than those before."""
        if due > self._latest_start:
            self._latest_start = due
            # The lock's disk has just taken the claim: if it refuses now, the claim stands.
            with suppress(OSError):
                note_start(self._lock, due)

    def records_after(self, number: int, *, about_bytes: int) -> tuple[tuple[int, bytes], ...]:
        """Return about `about_bytes` of the records of the outbox after `number`."""
        found: list[tuple[int, bytes]] = []
        connection = self._database.connection
        with (
            errors_in_words(self._path),
            closing(records_after(connection, number)) as records,
        ):
            while about_bytes > 0 and (record := next(records, None)) is not None:
                found.append(record)
                about_bytes -= len(record[1])
        return tuple(found)

    def results_before(self, row: ResultRow | None, *, at_most: int) -> tuple[ResultRow, ...]:
        """Return results in descending order of request and end: those before `row`."""
        with errors_in_words(self._path):
            return results_before(self._database.connection, row, at_most)

    def outputs_after(
        self,
        execution: str,  # noqa: ARG002 - outputs are files
        *,
        at_most: int,  # noqa: ARG002
    ) -> tuple[StoredOutput, ...]:
        """Return nothing: outputs are files in the state folder."""
        return ()

    def delete_outputs(self, executions: Collection[str]) -> None:
        """Do nothing: outputs are files in the state folder."""

    def keep_records(self, longest: timedelta) -> None:
        """Do nothing: records leave this store once the log has them."""

    def take_commands(self, now: int) -> tuple[CommandRow, ...]:
        """Take the pending commands durably, the oldest first."""
        with errors_in_words(self._path):
            (is_any,) = self._database.connection.execute(schema.IS_ANY_PENDING).fetchone()
            if not is_any:
                return ()
            self.check()
            connection = self._database.connection  # `check` may have replaced it
            with transaction(connection):
                return inbox.take(connection, now)

    def listen(self) -> int:
        """Return the descriptor of the FIFO `wake`. Raises StoreError."""
        if self._wake is None:
            self._wake = open_wake(self._path.parent)
        return self._wake

    def clear_arrivals(self) -> None:
        """Empty the FIFO `wake`."""
        if self._wake is not None:
            drain_wake(self._wake)

    def check(self) -> None:
        """Raise StoreUnwritableError if another program removed or changed a file of the store."""
        self._database.check()

    def tidy(self) -> None:
        """Checkpoint the write-ahead log while idle. Otherwise a commit does it, every few
        hundred commits.

        A checkpoint takes two syncs and some milliseconds, so `tidy` acts only once per
        `_UNTIDY_COMMITS`. It also forgets a limited number of commands a day past their
        deadline.
        """
        if self._untidy < _UNTIDY_COMMITS and self._database.is_log_long:
            return
        self._untidy = 0
        with suppress(StoreUnwritableError, OSError), errors_in_words(self._path):
            self.check()
            self._database.lengthen_log()
            with transaction(self._database.connection):
                inbox.prune(self._database.connection)
            self._database.checkpoint()

    def hand_over(self) -> int:
        return inheritable(self._lock.fileno())

    def close(self) -> None:
        """Close the database and release the lock."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._wake is not None:
            os.close(self._wake)
        self._database.close()
        self._lock.close()

    def _set_back(self, noted: int) -> str | None:
        if noted <= self._last:
            return None
        return (
            f"the store {self._path} was set back: its last record is number {self._last}, a"
            f" former runner wrote number {noted} (its -wal file was removed, or an older copy"
            f" restored); what ran since may run again"
        )

    def _note_last(self) -> None:
        # The lock's disk may be full. Then a store that is set back goes unnoticed.
        with suppress(OSError):
            note_record(self._lock, self._last)


def _locked(folder: Path, path: Path, handed: int | None) -> BinaryIO:
    """Create a state folder and its database file if necessary; return the lock, taken.

    Raises StoreError and StoreInUseError.
    """
    with ExitStack() as resources:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = resources.enter_context(take_lock(folder, handed))
            require_not_emptied(path)
            create_file(path)
        except (FileExistsError, NotADirectoryError) as error:
            raise StoreError(
                f"{folder} is not a folder; choose another state folder (--state)"
            ) from error
        except OSError as error:
            raise StoreError(
                f"the state folder {folder} cannot be used: {error.strerror} (--state)"
            ) from error
        resources.pop_all()
        return lock
