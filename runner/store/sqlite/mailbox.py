"""The sender's side of the `commands` table. Touches the store's files.

Every step is one conditional update of a row, so a command is applied or withdrawn, never
both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from runner.errors import StoreError, StoreMissingError
from runner.store.lock import owner_pid
from runner.store.rows import CommandRow, CommandStatus
from runner.store.sqlite import schema
from runner.store.sqlite.connection import (
    connect,
    database_path,
    errors_in_words,
    require_current,
    transaction,
    version_of,
)
from runner.store.sqlite.schema import COMMANDS, to_text
from runner.store.sqlite.wake import wake_owner
from runner.system.regular_files import is_missing

_BUSY_S = 10.0
"""A person may wait longer than the owner, whose loop must not stand still."""


class SqliteMailbox:
    """The mailbox of a state folder (see `Mailbox`)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def post(self, command: CommandRow) -> None:
        """Write a pending command and wake the runner.

        Raises StoreMissingError, and StoreError if the row cannot be written.
        """
        row = command._replace(status=CommandStatus.PENDING, answer=None)
        with _opened(self._folder) as connection, transaction(connection):
            connection.execute(COMMANDS.insert, COMMANDS.to_sql(row))
        wake_owner(self._folder)

    def answer_to(self, command: str) -> str | None:
        """Return the answer to a command; None if there is none yet. Raises StoreError."""
        with _opened(self._folder) as connection:
            row = connection.execute(schema.ANSWER_OF, (command,)).fetchone()
        return None if row is None or row[0] is None else to_text(row[0])

    def withdraw(self, command: str) -> bool:
        """Take a command back (see `Mailbox.withdraw`). Raises StoreError."""
        with _opened(self._folder) as connection:
            if _change(connection, command, CommandStatus.PENDING):
                return True
            status = _status_of(connection, command)
            # The order of the two reads matters. The command was taken before the lock was
            # seen free, so the runner that took it is gone.
            if status is CommandStatus.TAKEN and not self.has_owner():
                _change(connection, command, CommandStatus.TAKEN)
                status = _status_of(connection, command)
        return status is CommandStatus.WITHDRAWN

    def has_owner(self) -> bool:
        """Return whether a runner holds the store's lock. Raises StoreError."""
        return owner_pid(self._folder) is not None


@contextmanager
def _opened(folder: Path) -> Iterator[sqlite3.Connection]:
    path = database_path(folder)
    missing = StoreMissingError(
        f"there is no store {path}; start a runner first, or name its state folder (--state)"
    )
    if is_missing(path):
        raise missing
    with (
        errors_in_words(path),
        closing(connect(path, "mode=rw", busy_s=_BUSY_S)) as connection,
    ):
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
