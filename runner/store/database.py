"""The store's one writer and its readers. Every commit is one transaction with
`synchronous=FULL`. Touches files.

The owner commits one `Batch` per turn. Other programs read, and write only to the
`commands` table (see `mailbox`).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from loguru import logger

from runner.errors import StoreError, StoreUnwritableError
from runner.store import schema
from runner.store.connection import (
    check,
    connect,
    create_file,
    database_path,
    lengthen_wal,
    migrate,
    require_current,
    require_writable,
    transaction,
    unusable,
    use_wal,
    version_of,
    worded,
)
from runner.store.files import StoreFiles, unreachable_words, wal_of
from runner.store.holders import readers_of
from runner.store.lock import lock_path, note_record, noted_record, owner_pid, take_lock
from runner.store.mailbox import wake_path
from runner.store.rows import (
    MALFORMED_ANSWER,
    Batch,
    CommandRow,
    CommandStatus,
    ExecutionRow,
    Mark,
    RequestRow,
    Snapshot,
)
from runner.store.schema import EXECUTIONS, REQUESTS, Row, Table, to_sql, to_text
from runner.system.regular_files import is_file, is_missing, is_there

__all__ = ["DuplicateClaimError", "Store", "StoreReader", "owner_pid"]

Answer = TypeVar("Answer")
_KEPT_COMMANDS_US = 24 * 3600 * 1_000_000
"""How long a command is kept after its deadline, in microseconds."""
MOST_COMMANDS = 1000
"""How many commands are taken at once; further ones wait for the next turn."""
_LARGEST_IDLE_WAL = 16 * 2**20
"""SQLite truncates the write-ahead log to this size after a checkpoint, in bytes."""
GROWN_WAL = 2 * _LARGEST_IDLE_WAL
"""A larger write-ahead log means that another program holds it back."""
_UNTIDY_COMMITS = 50
_MOST_FRAMES = 4000
"""Pages in the write-ahead log from which a commit checkpoints itself.

This is four times SQLite's default. Usually `tidy` checkpoints sooner, while no claim
waits for it.
"""


class DuplicateClaimError(AssertionError):
    """A fire was claimed a second time: a bug, never a user's mistake."""


class Store:
    """The owner's side of the store, for one thread. While open it holds a flock on `lock`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: BinaryIO) -> None:
        """Call `own` instead; this only takes over what `own` opened."""
        self._path = path
        self._lock = lock
        last = connection.execute(schema.LAST_RECORD).fetchone()
        self._last: int = last[0] if last else 0
        self.notice = self._set_back(noted_record(lock))
        self._definitions: dict[str, str | None] = {}
        self._untidy = 0
        self._is_wal_long = self._is_closed = False
        self._use(connection)
        self._note_last()

    @classmethod
    def own(cls, folder: Path) -> Store:
        """Create or open the store in `folder` and lock it.

        Raises StoreInUseError with the owner's pid, and StoreError for a newer version, a
        damaged file or an unusable folder; nothing is overwritten then. Commands that a
        dead owner took are withdrawn, and commands a day past their deadline are
        forgotten. If the store is older than its last owner left it, `notice` says so.
        """
        path = database_path(folder)
        with ExitStack() as resources, worded(path):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                lock = resources.enter_context(take_lock(folder))
                # SQLite would take an empty file for a new store, and all one-time requests
                # would run again. The FIFO shows that a runner has used this folder.
                if is_there(wake_path(folder)) and is_there(path) and not path.stat().st_size:
                    raise unusable(path, "is empty, though a runner has used it")
                create_file(path)
            except (FileExistsError, NotADirectoryError) as error:
                raise StoreError(
                    f"{folder} is not a folder; choose another state folder (--state)"
                ) from error
            except OSError as error:
                raise StoreError(
                    f"the state folder {folder} cannot be used: {error.strerror} (--state)"
                ) from error
            connection = resources.enter_context(closing(connect(path, "mode=rw")))
            _prepare(connection, path)
            store = cls(path, connection, lock)
            resources.pop_all()
            return store

    def load(self) -> Snapshot:
        """Return the whole content, apart from the lines of the outbox. Raises StoreError."""
        with worded(self._path):
            snapshot = _snapshot(self._connection)
        self._definitions = {row.name: row.definition for row in snapshot.requests}
        return snapshot

    def commit(
        self, batch: Batch, *, appended: tuple[int, Mark] | None = None
    ) -> tuple[tuple[int, bytes], ...]:
        """Write the batch in one transaction, and return its records with their numbers.

        The batch is durable when this returns. `appended` (number, mark) says that the
        log has every record up to that number and now ends at the mark. Those records
        leave the outbox; the number 0 only sets the mark. Executions are written before
        the rows of `ended` are deleted, so an execution may be in both.

        Raises StoreUnwritableError or DuplicateClaimError; then nothing is written, and
        after the former the same call may be repeated.
        """
        if not batch and appended is None:
            return ()
        self.check()
        require_writable(self._path)
        records = tuple(enumerate(batch.records, self._last + 1))
        definitions = self._new_definitions(batch)
        with worded(self._path), transaction(self._connection):
            if appended is not None:
                _forget(self._connection, *appended)
            _write(self._connection, batch)
            _define(self._connection, definitions)
            self._connection.executemany(schema.INSERT_RECORD, records)
        self._last += len(records)
        self._note_commit()
        self._untidy += 1
        self._definitions.update(definitions)
        for name in batch.pruned:
            self._definitions.pop(name, None)
        if self._files.frames >= _MOST_FRAMES:
            # If the checkpoint fails, the next commit tries again; this one is durable.
            with suppress(StoreUnwritableError), worded(self._path):
                self._checkpoint()
        return records

    def records_after(self, number: int, *, about_bytes: int) -> tuple[tuple[int, bytes], ...]:
        """Return the records of the outbox after `number`, about `about_bytes` of them.

        The last record may exceed the limit. Raises StoreUnwritableError.
        """
        found: list[tuple[int, bytes]] = []
        with worded(self._path), closing(_records_after(self._connection, number)) as records:
            while about_bytes > 0 and (record := next(records, None)) is not None:
                found.append(record)
                about_bytes -= len(record[1])
        return tuple(found)

    def tidy(self) -> None:
        """Checkpoint the write-ahead log while idle. Otherwise a commit does it, every few
        hundred commits.

        A checkpoint takes two syncs and some milliseconds, so `tidy` acts only once per
        `_UNTIDY_COMMITS`. It also forgets a limited number of commands a day past their
        deadline. An error is not raised: the next commit meets the same problem.
        """
        if self._untidy < _UNTIDY_COMMITS and self._is_wal_long:
            return
        was_long, self._is_wal_long, self._untidy = self._is_wal_long, True, 0
        with suppress(StoreUnwritableError, OSError), worded(self._path):
            self.check()
            if not was_long:
                lengthen_wal(self._connection, self._path)
            with transaction(self._connection):
                _prune_commands(self._connection)
            self._checkpoint()

    def take_commands(self, now: int) -> tuple[CommandRow, ...]:
        """Take the pending commands durably, the oldest first; at most `MOST_COMMANDS`.

        Commands whose deadline is before `now` are withdrawn, and malformed rows get a
        refusal as their answer. A taken command cannot be withdrawn while this store is
        open.

        Commit what a command changes together with its answer, and do what it does
        outside the store after that commit. Then a command is either applied or withdrawn,
        whenever the runner dies. Raises StoreUnwritableError; then nothing is taken.
        """
        with worded(self._path):
            (is_any,) = self._connection.execute(schema.IS_ANY_PENDING).fetchone()
            if not is_any:
                return ()
            self.check()
            with transaction(self._connection):
                return _take(self._connection, now)

    def check(self) -> None:
        """Raise StoreUnwritableError if another program removed or changed a file of the store.

        A removed write-ahead log without a replacement is repaired: the connection still
        has its content. The error also says so if the files cannot be looked at.
        """
        try:
            if moved := self._files.moved():
                if not self._files.has_lost_only_its_log():
                    raise StoreUnwritableError(
                        f"{moved[0]} was removed or replaced; put it back, or restart the runner"
                    )
                self._restore_log()
            damage = self._files.damage()
        except OSError as error:
            raise StoreUnwritableError(unreachable_words(self._path, error)) from error
        if damage is not None:
            raise StoreUnwritableError(
                f"{damage}, so the runner does not write to it any more; restart the runner"
            )

    @property
    def hindrance(self) -> str | None:
        """Why the write-ahead log keeps growing: another program reads an old state. None if
        the log is small.
        """
        size = self._files.wal_bytes
        if size < GROWN_WAL or not (readers := readers_of(self._files.shared_inode)):
            return None
        # Rounded down to a power of two, so that the text changes only when the size doubles.
        grown = 1 << (size >> 20).bit_length() - 1
        return (
            f"the write-ahead log {wal_of(self._path)} has grown to {grown} MiB, because"
            f" {', '.join(readers)} keeps an old state of the store open; end that program"
        )

    def close(self) -> None:
        """Close the database and release the lock.

        The last connection to close moves the write-ahead log into the database and
        deletes it by name. If another program has put its own files there, the read-only
        keeper closes last: it cannot write, so SQLite leaves all files alone.
        """
        if self._is_closed:
            return
        self._is_closed = True
        connections = (
            (self._keeper, self._connection)
            if self._is_sound()
            else (self._connection, self._keeper)
        )
        for connection in connections:
            connection.close()
        self._files.close()
        self._lock.close()

    def _use(self, connection: sqlite3.Connection) -> None:
        """Use a connection, and watch its files."""
        self._connection = connection
        self._keeper = connect(self._path, "mode=ro")
        # A first read: from now on the keeper shares the lock on the database.
        self._keeper.execute(schema.SELECT_META).fetchall()
        self._files = StoreFiles(self._path, lock_path(self._path.parent))

    def _restore_log(self) -> None:
        """Move the content of a removed write-ahead log into the database, and begin a new log.

        The content is not lost, because the connection still has the removed file open.
        Raises StoreUnwritableError.
        """
        wal = wal_of(self._path)
        with worded(self._path):
            is_busy, frames, moved = self._connection.execute(
                "PRAGMA wal_checkpoint(FULL)"
            ).fetchone()
            if is_busy or frames != moved:
                raise StoreUnwritableError(
                    f"{wal} was removed, and another program has the store open; end that program"
                )
            self._keeper.close()
            self._connection.close()
            self._files.close()
            connection = connect(self._path, "mode=rw")
            _configure(connection, self._path)
            self._is_wal_long = False
            self._use(connection)
        logger.warning(
            "{} was removed while the runner used it; nothing is lost, the database has all of it",
            wal,
        )

    def _is_sound(self) -> bool:
        try:
            self.check()
        except StoreError:
            return False
        return True

    def _checkpoint(self) -> None:
        """Move the write-ahead log into the database.

        Raises sqlite3.Error and StoreUnwritableError.
        """
        self.check()
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            # A full disk: SQLite may have written a part without a note in the index. The
            # runner itself made that change, so it must not count as another program's.
            with suppress(OSError):  # the file is gone; the next check reports it
                self._files.take_over()
            raise

    def _set_back(self, noted: int) -> str | None:
        if noted <= self._last:
            return None
        return (
            f"the store {self._path} was set back: its last record is number {self._last}, a"
            f" former runner wrote number {noted} (its -wal file was removed, or an older copy"
            f" restored); what ran since may run again"
        )

    def _note_commit(self) -> None:
        with suppress(OSError):  # the file is gone since the commit; the next check reports it
            self._files.note_commit()
        self._note_last()

    def _note_last(self) -> None:
        # The lock's disk may be full. Then a store that is set back goes unnoticed.
        with suppress(OSError):
            note_record(self._lock, self._last)

    def _new_definitions(self, batch: Batch) -> dict[str, str | None]:
        """Return the definitions that differ from the written ones.

        A fire changes the row of its request but rarely the long definition.
        """
        known = self._definitions
        return {
            name: row.definition
            for name, row in batch.requests.items()
            if name not in known or known[name] != row.definition
        }


class StoreReader:
    """Another program's view of a store at one moment: all answers belong to that moment.

    A missing store gives empty results. Make a reader for one question, then close it:
    while open, it prevents the owner from reusing the write-ahead log. Every method raises
    StoreError if the file cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._path = database_path(folder)
        with worded(self._path):
            self._connection = _begin_reading(self._path)

    def executions(self) -> tuple[ExecutionRow, ...]:
        """Return all executions that have not ended, in the order of their ids."""
        return self._ask(_executions, ())

    def waiting_records(self) -> Iterator[bytes]:
        """Yield the lines that the monitor log may still lack, oldest first."""
        if self._connection is not None:
            with worded(self._path):
                yield from (line for _, line in _records_after(self._connection, 0))

    def is_on_its_way(self, execution: str) -> bool:
        """Return whether an execution has not ended."""
        return self._ask(partial(_has_execution, execution=execution), False)

    def snapshot(self) -> Snapshot:
        """Return the content, apart from the lines of the outbox."""
        return self._ask(
            _snapshot, Snapshot(requests=(), executions=(), outbox=range(0), mark=None, meta={})
        )

    def meta(self) -> dict[str, str]:
        """Return what the owner has noted about itself."""
        return self._ask(_meta, {})

    def close(self) -> None:
        """Close the database."""
        if self._connection is not None:
            self._connection.close()

    def _ask(self, question: Callable[[sqlite3.Connection], Answer], nothing: Answer) -> Answer:
        if self._connection is None:
            return nothing
        with worded(self._path):
            return question(self._connection)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    migrate(connection, path)
    check(connection, path)
    _configure(connection, path)


def _configure(connection: sqlite3.Connection, path: Path) -> None:
    use_wal(connection, path)
    connection.execute(f"PRAGMA journal_size_limit = {_LARGEST_IDLE_WAL}")
    # The runner checkpoints itself, because it has to watch what that changes.
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    with transaction(connection):
        connection.execute(schema.WITHDRAW_ORPHANS)
        _prune_commands(connection)


def _prune_commands(connection: sqlite3.Connection) -> None:
    connection.execute(schema.PRUNE_COMMANDS, (time.time_ns() // 1000 - _KEPT_COMMANDS_US,))


def _take(connection: sqlite3.Connection, now: int) -> tuple[CommandRow, ...]:
    connection.execute(schema.REFUSE_MALFORMED, (MALFORMED_ANSWER, now))
    connection.execute(schema.WITHDRAW_LATE, (now,))
    taken = []
    for rowid, *values, deadline in connection.execute(
        schema.SELECT_PENDING, (MOST_COMMANDS,)
    ).fetchall():
        try:
            command, kind, arguments, requested_by = map(to_text, values)
        except UnicodeDecodeError:
            connection.execute(schema.REFUSE_ROW, (MALFORMED_ANSWER, now, rowid))
            continue
        connection.execute(schema.TAKE, (rowid,))
        taken.append(
            CommandRow(
                id=command,
                kind=kind,
                arguments=arguments,
                requested_by=requested_by,
                deadline=deadline,
                status=CommandStatus.TAKEN,
            )
        )
    return tuple(taken)


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
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN or is_there(
            path.with_name(f"{path.name}-wal")
        ):
            raise
        return _reading(path, "mode=ro&immutable=1")


def _reading(path: Path, options: str) -> sqlite3.Connection | None:
    with ExitStack() as resources:
        connection = resources.enter_context(closing(connect(path, options)))
        connection.execute("BEGIN")
        if version_of(connection, path) == 0:
            return None
        require_current(connection, path)
        resources.pop_all()
        return connection


def _forget(connection: sqlite3.Connection, number: int, mark: Mark) -> None:
    connection.execute(schema.FORGET_RECORDS, (number,))
    connection.execute(schema.UPSERT_MARK, (str(mark.inode), mark.offset))


def _write(connection: sqlite3.Connection, batch: Batch) -> None:
    for statement in (schema.PRUNE_REQUEST, schema.PRUNE_DEFINITION):
        connection.executemany(statement, ((to_sql(name),) for name in batch.pruned))
    _upsert(connection, REQUESTS, batch.requests.values())
    _claim(connection, batch)
    connection.executemany(
        schema.END_EXECUTION, ((to_sql(execution),) for execution in batch.ended)
    )
    connection.executemany(
        schema.ANSWER, ((to_sql(text), to_sql(command)) for command, text in batch.answers.items())
    )
    connection.executemany(
        schema.UPSERT_META, ((to_sql(key), to_sql(value)) for key, value in batch.meta.items())
    )


def _define(connection: sqlite3.Connection, definitions: dict[str, str | None]) -> None:
    connection.executemany(
        schema.UPSERT_DEFINITION,
        ((to_sql(name), to_sql(text)) for name, text in definitions.items()),
    )


def _claim(connection: sqlite3.Connection, batch: Batch) -> None:
    try:
        _upsert(connection, EXECUTIONS, batch.executions.values())
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            raise DuplicateClaimError(f"a fire was claimed twice: {error}") from error
        raise


def _upsert(connection: sqlite3.Connection, table: Table[Row], rows: Iterable[Row]) -> None:
    try:
        connection.executemany(table.upsert, map(table.values, rows))
    except UnicodeEncodeError:
        # Text that is not UTF-8 is rare, and to check for it in advance is expensive. An
        # upsert may be repeated.
        connection.executemany(table.upsert, map(table.to_sql, rows))


def _snapshot(connection: sqlite3.Connection) -> Snapshot:
    mark = connection.execute(schema.SELECT_MARK).fetchone()
    return Snapshot(
        requests=_requests(connection),
        executions=_executions(connection),
        outbox=_record_numbers(connection),
        mark=None if mark is None else Mark(inode=int(mark[0]), offset=mark[1]),
        meta=_meta(connection),
    )


def _record_numbers(connection: sqlite3.Connection) -> range:
    first, last = connection.execute(schema.RECORD_NUMBERS).fetchone()
    return range(0) if first is None else range(first, last + 1)


def _records_after(
    connection: sqlite3.Connection, number: int
) -> Generator[tuple[int, bytes], None, None]:
    with closing(connection.execute(schema.SELECT_RECORDS, (number,))) as records:
        yield from records


def _requests(connection: sqlite3.Connection) -> tuple[RequestRow, ...]:
    return tuple(map(REQUESTS.to_row, connection.execute(f"{REQUESTS.select} ORDER BY name")))


def _has_execution(connection: sqlite3.Connection, *, execution: str) -> bool:
    return connection.execute(schema.HAS_EXECUTION, (to_sql(execution),)).fetchone() is not None


def _executions(connection: sqlite3.Connection) -> tuple[ExecutionRow, ...]:
    return tuple(map(EXECUTIONS.to_row, connection.execute(f"{EXECUTIONS.select} ORDER BY id")))


def _meta(connection: sqlite3.Connection) -> dict[str, str]:
    return {to_text(key): to_text(value) for key, value in connection.execute(schema.SELECT_META)}
