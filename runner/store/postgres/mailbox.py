"""The sender's side of the `commands` table. Writes the database.

Every step is one conditional update of a row, so a command is applied or withdrawn, never
both: the owner commits the answer with the effects, and only if the row is still taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from runner.errors import StoreError
from runner.store.postgres.connecting.address import Address
from runner.store.postgres.connecting.connection import Connection, connect, errors_in_words
from runner.store.postgres.content.inbox import WITHDRAW
from runner.store.postgres.content.tables import COMMANDS
from runner.store.postgres.content.texts import to_sql, to_text
from runner.store.postgres.migrating import require_current
from runner.store.rows import CommandRow, CommandStatus


class PostgresMailbox:
    """The mailbox of a store (see `Mailbox`). `has_owner` says whether anybody leads."""

    def __init__(self, address: Address, has_owner: Callable[[], bool]) -> None:
        self._address = address
        self._has_owner = has_owner

    def post(self, command: CommandRow) -> None:
        """Write a pending command and wake the leader.

        `requested_by` becomes the database role of this session. What the page asks for keeps
        the name of the token: the role is that of all who use the page. Raises
        StoreMissingError, and StoreError if the row cannot be written.
        """
        row = command._replace(status=CommandStatus.PENDING, answer=None)
        with self._opened() as connection, connection.transaction():
            connection.execute(COMMANDS.insert.encode(), (COMMANDS.text([row]),))
            connection.execute(
                "UPDATE commands SET requested_by = session_user"
                " WHERE id = %s AND NOT starts_with(requested_by, 'web:')",
                (to_sql(row.id),),
            )
            connection.execute("NOTIFY runner_commands")

    def answer_to(self, command: str) -> str | None:
        """Return the answer to a command; None if there is none yet. Raises StoreError."""
        with self._opened() as connection:
            row = connection.execute(
                "SELECT answer FROM commands WHERE id = %s", (to_sql(command),)
            ).fetchone()
        return None if row is None or row[0] is None else to_text(row[0])

    def withdraw(self, command: str) -> bool:
        """Take a command back (see `Mailbox.withdraw`). Raises StoreError."""
        with self._opened() as connection:
            if _change(connection, command, CommandStatus.PENDING):
                return True
            status = _status_of(connection, command)
            # The order of the two reads matters. The command was taken before the lease was
            # seen free, so the leader that took it has lost it.
            if status is CommandStatus.TAKEN and not self._has_owner():
                _change(connection, command, CommandStatus.TAKEN)
                status = _status_of(connection, command)
        return status is CommandStatus.WITHDRAWN

    def has_owner(self) -> bool:
        """Return whether a node leads. Raises StoreError."""
        return self._has_owner()

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        with (
            errors_in_words(self._address),
            closing(connect(self._address, what="runner command")) as connection,
        ):
            require_current(connection, self._address)
            yield connection


def _change(connection: Connection, command: str, status: CommandStatus) -> bool:
    """Withdraw a command if its status is `status`; return whether it was."""
    statement = f"{WITHDRAW} id = %s AND status = %s".encode()
    return connection.execute(statement, (to_sql(command), status)).rowcount == 1


def _status_of(connection: Connection, command: str) -> CommandStatus:
    row = connection.execute(
        "SELECT status FROM commands WHERE id = %s", (to_sql(command),)
    ).fetchone()
    if row is None:
        raise StoreError(
            f"there is no command {command} in the store; answered ones are forgotten after a day"
        )
    return CommandStatus(row[0])
