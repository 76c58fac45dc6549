"""The owner's side of the `commands` table, inside a transaction. Writes the database."""

from __future__ import annotations

import sqlite3
import time

from runner.store.protocol import MOST_COMMANDS
from runner.store.rows import MALFORMED_ANSWER, CommandRow, CommandStatus
from runner.store.sqlite import schema
from runner.store.sqlite.schema import to_text

_KEPT_US = 24 * 3600 * 1_000_000
"""How long a command is kept after its deadline, in microseconds."""


def withdraw_orphans(connection: sqlite3.Connection) -> None:
    """Withdraw the commands that a dead owner took and did not answer."""
    connection.execute(schema.WITHDRAW_ORPHANS)


def prune(connection: sqlite3.Connection) -> None:
    """Delete a limited number of commands a day past their deadline."""
    connection.execute(schema.PRUNE_COMMANDS, (time.time_ns() // 1000 - _KEPT_US,))


def take(connection: sqlite3.Connection, now: int) -> tuple[CommandRow, ...]:
    """Take the pending commands; withdraw late ones and refuse malformed ones."""
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
