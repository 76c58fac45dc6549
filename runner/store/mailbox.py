"""The table and the FIFO through which other programs reach the owner of a store.
Touches files.

Only the row of a command counts, and it is applied or withdrawn, never both. The byte in
the FIFO only makes the runner look sooner.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from runner.errors import StoreError, StoreMissingError
from runner.store import schema
from runner.store.connection import (
    connect,
    database_path,
    require_current,
    transaction,
    version_of,
    worded,
)
from runner.store.lock import owner_pid
from runner.store.rows import CommandRow, CommandStatus
from runner.store.schema import COMMANDS, to_text
from runner.system.regular_files import is_missing

_BUSY_S = 10.0
"""A person may wait longer than the owner, whose loop must not stand still."""


def wake_path(folder: Path) -> Path:
    """Return the path of the FIFO in a state folder."""
    return folder / "wake"


def open_wake(folder: Path) -> int:
    """Create the FIFO `wake` if necessary, and return the owner's non-blocking descriptor.

    Raises StoreError.
    """
    path = wake_path(folder)
    try:
        with suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        if not stat.S_ISFIFO(path.lstat().st_mode):
            raise StoreError(f"{path} is not a FIFO; remove it, and the runner creates a new one")
        # Open for writing as well: a reader alone gets POLLHUP without end once the last
        # writer has closed.
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"the FIFO {path} cannot be used: {error.strerror}") from error


def drain_wake(descriptor: int) -> None:
    """Read and drop all bytes in the FIFO."""
    with suppress(BlockingIOError):
        while os.read(descriptor, 65536):
            pass


def post(folder: Path, command: CommandRow) -> None:
    """Write a pending command and wake the runner.

    This does not check whether a runner is running; only an answer shows that. Raises
    StoreMissingError, and StoreError if the row cannot be written.
    """
    with _mailbox(folder) as connection, transaction(connection):
        connection.execute(
            COMMANDS.insert,
            COMMANDS.to_sql(replace(command, status=CommandStatus.PENDING, answer=None)),
        )
    _wake(folder)


def answer_to(folder: Path, command: str) -> str | None:
    """Return the answer to a command; None if there is none yet. Raises StoreError."""
    with _mailbox(folder) as connection:
        row = connection.execute(schema.ANSWER_OF, (command,)).fetchone()
    return None if row is None or row[0] is None else to_text(row[0])


def withdraw(folder: Path, command: str) -> bool:
    """Take a command back; return True if it is not and never will be applied.

    False means that the runner was faster: there is an answer, or one will come. If none
    comes, call this again: a command that a runner took and left unanswered when it died
    is withdrawn like a pending one. Raises StoreError.
    """
    with _mailbox(folder) as connection:
        if _change(connection, command, CommandStatus.PENDING):
            return True
        status = _status_of(connection, command)
        # The order of the two reads matters. The command was taken before the lock was seen
        # free, so the runner that took it is gone.
        if status is CommandStatus.TAKEN and owner_pid(folder) is None:
            _change(connection, command, CommandStatus.TAKEN)
            status = _status_of(connection, command)
    return status is CommandStatus.WITHDRAWN


@contextmanager
def _mailbox(folder: Path) -> Iterator[sqlite3.Connection]:
    path = database_path(folder)
    missing = StoreMissingError(
        f"there is no store {path}; start a runner first, or name its state folder (--state)"
    )
    if is_missing(path):
        raise missing
    with worded(path), closing(connect(path, "mode=rw", busy_s=_BUSY_S)) as connection:
        # Version 0: the owner has created the file but not the tables yet.
        if version_of(connection, path) == 0:
            raise missing
        require_current(connection, path)
        # Only the owner checkpoints, because it watches the database.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        yield connection


def _change(connection: sqlite3.Connection, command: str, status: CommandStatus) -> bool:
    """Withdraw a command if its status is `status`; return whether it was."""
    return connection.execute(schema.WITHDRAW, (command, status)).rowcount == 1


def _status_of(connection: sqlite3.Connection, command: str) -> CommandStatus:
    row = connection.execute(schema.STATUS_OF, (command,)).fetchone()
    if row is None:
        raise StoreError(
            f"there is no command {command} in the store; answered ones are forgotten after a day"
        )
    return CommandStatus(row[0])


def _wake(folder: Path) -> None:
    # Perhaps no runner is listening, or the FIFO is full. The row is written all the same,
    # and a runner sees it in its next turn.
    with suppress(OSError):
        descriptor = os.open(wake_path(folder), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            # Somebody may have put another file there.
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.write(descriptor, b"\0")
        finally:
            os.close(descriptor)
