"""The owner's connection to the database, and the watch over its files. Touches files.

SQLite does not notice when another program deletes or overwrites a file that it has open.
Its commits would be lost after a kill, without an error. So the owner checks the files
before every write (`files` says how), and checkpoints itself: a checkpoint that SQLite
starts on its own would look like another program's change.
"""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from loguru import logger

from runner.errors import StoreError, StoreUnwritableError
from runner.store.lock import lock_path
from runner.store.sqlite import inbox, schema
from runner.store.sqlite.connection import (
    check,
    connect,
    errors_in_words,
    lengthen_wal,
    migrate,
    transaction,
    use_wal,
)
from runner.store.sqlite.files import StoreFiles, unreachable_words, wal_of
from runner.store.sqlite.holders import readers_of

_LARGEST_IDLE_WAL = 16 * 2**20
"""SQLite truncates the write-ahead log to this size after a checkpoint, in bytes."""
GROWN_WAL = 2 * _LARGEST_IDLE_WAL
"""A larger write-ahead log means that another program holds it back."""


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a database to this version, check it, and set it up for its owner.

    Raises sqlite3.Error and StoreError.
    """
    migrate(connection, path)
    check(connection, path)
    _configure(connection, path)


def _configure(connection: sqlite3.Connection, path: Path) -> None:
    use_wal(connection, path)
    connection.execute(f"PRAGMA journal_size_limit = {_LARGEST_IDLE_WAL}")
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # see the module's docstring
    with transaction(connection):
        inbox.withdraw_orphans(connection)
        inbox.prune(connection)


class Database:
    """A prepared database in write-ahead mode, with two connections.

    All work goes through `connection`. The keeper is read-only and idle. While it is open,
    SQLite does not delete the write-ahead log when `connection` closes.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._is_log_long = False
        self._is_open = False
        self._use(connection)

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection for all work.

        Raises StoreUnwritableError after a repair that could not open the database again;
        `check` tries that once more.
        """
        if not self._is_open:
            raise StoreUnwritableError(f"the store {self._path} could not be opened again")
        return self._connection

    @property
    def pages_in_log(self) -> int:
        """How many pages a checkpoint would move."""
        return self._files.frames

    @property
    def is_log_long(self) -> bool:
        """Whether `lengthen_log` was called for the present write-ahead log."""
        return self._is_log_long

    @property
    def hindrance(self) -> str | None:
        """Why the write-ahead log keeps growing: another program reads an old state. None if
        the log is small.
        """
        size = self._files.wal_bytes if self._is_open else 0
        if size < GROWN_WAL or not (readers := readers_of(self._files.shared_inode)):
            return None
        # Rounded down to a power of two, so that the text changes only when the size doubles.
        grown = 1 << (size >> 20).bit_length() - 1
        return (
            f"the write-ahead log {wal_of(self._path)} has grown to {grown} MiB, because"
            f" {', '.join(readers)} keeps an old state of the store open; end that program"
        )

    def check(self) -> None:
        """Raise StoreUnwritableError if another program removed or changed a file.

        A removed write-ahead log without a replacement is repaired: the connection still
        has its content. The error also says so if the files cannot be looked at.
        """
        try:
            if not self._is_open:
                self._reopen()
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

    def note_commit(self) -> None:
        """Note what a commit changed in the files, so that it does not count as damage."""
        with suppress(OSError):  # the file is gone since the commit; the next check reports it
            self._files.note_commit()

    def lengthen_log(self) -> None:
        """Make the write-ahead log as long as it usually grows, at most once.

        Raises sqlite3.Error and OSError.
        """
        if not self._is_log_long:
            self._is_log_long = True
            lengthen_wal(self.connection, self._path)

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database.

        Raises sqlite3.Error and StoreUnwritableError.
        """
        self.check()
        try:
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            # A full disk: SQLite may have written a part without a note in the index. The
            # runner itself made that change, so it must not count as another program's.
            with suppress(OSError):  # the file is gone; the next check reports it
                self._files.take_over()
            raise

    def close(self) -> None:
        """Close both connections.

        The last connection to close moves the write-ahead log into the database and
        deletes it by name. If another program has put its own files there, the read-only
        keeper closes last: it cannot write, so SQLite leaves all files alone.
        """
        is_sound = self._is_sound()
        if self._is_open:
            self._close(is_sound=is_sound)

    def _close(self, *, is_sound: bool) -> None:
        self._is_open = False
        connections = (self._keeper, self._connection)
        for connection in connections if is_sound else reversed(connections):
            connection.close()
        self._files.close()

    def _use(self, connection: sqlite3.Connection) -> None:
        """Use a connection, and watch its files. Raises sqlite3.Error and OSError."""
        with ExitStack() as resources:
            keeper = resources.enter_context(closing(connect(self._path, "mode=ro")))
            # A first read: from now on the keeper shares the lock on the database.
            keeper.execute(schema.SELECT_META).fetchall()
            self._files = StoreFiles(self._path, lock_path(self._path.parent))
            resources.pop_all()
        self._connection, self._keeper, self._is_open = connection, keeper, True

    def _restore_log(self) -> None:
        """Move the content of a removed write-ahead log into the database, and begin a new log.

        The content is not lost, because the connection still has the removed file open.
        Raises StoreUnwritableError.
        """
        wal = wal_of(self._path)
        with errors_in_words(self._path):
            is_busy, frames, moved = self.connection.execute(
                "PRAGMA wal_checkpoint(FULL)"
            ).fetchone()
            if is_busy or frames != moved:
                raise StoreUnwritableError(
                    f"{wal} was removed, and another program has the store open; end that program"
                )
        logger.warning(
            "{} was removed while the runner used it; nothing is lost, the database has all of it",
            wal,
        )
        self._close(is_sound=True)
        self._reopen()

    def _reopen(self) -> None:
        """Open the database again, which has everything that was committed.

        Raises StoreUnwritableError, for instance without a free descriptor or on a full
        disk, and OSError.
        """
        if self._path in self._files.moved():
            raise StoreUnwritableError(f"{self._path} was removed or replaced; put it back")
        with errors_in_words(self._path), ExitStack() as resources:
            connection = resources.enter_context(closing(connect(self._path, "mode=rw")))
            _configure(connection, self._path)
            self._is_log_long = False
            self._use(connection)
            resources.pop_all()

    def _is_sound(self) -> bool:
        try:
            self.check()
        except StoreError:
            return False
        return True
