"""The owner's side of the `commands` table, inside a transaction. Writes the database."""

from __future__ import annotations

import time
from collections.abc import Iterable

from runner.store.postgres.connecting.connection import Connection
from runner.store.postgres.content.tables import texts_of
from runner.store.postgres.content.texts import to_sql
from runner.store.protocol import MOST_COMMANDS
from runner.store.rows import MALFORMED_ANSWER, CommandRow, CommandStatus

_KEPT_US = 24 * 3600 * 1_000_000
"""How long a command is kept after its deadline, in microseconds."""
# A settled command loses its arguments: they may hold parameters of `exec`.
WITHDRAW = "UPDATE commands SET status = 'withdrawn', arguments = '{}' WHERE "
# Any program that can write to the store can write any row.
_IS_WELL_FORMED = """octet_length(id) BETWEEN 1 AND 100 AND octet_length(kind) <= 100
    AND octet_length(requested_by) <= 1000 AND octet_length(arguments) <= 1048576"""
_REFUSE_MALFORMED = f"""UPDATE commands
    SET status = 'answered', answer = %s, arguments = '{{}}', deadline = %s
    WHERE status = 'pending' AND NOT ({_IS_WELL_FORMED})"""
_TAKE = """UPDATE commands SET status = 'taken' WHERE id IN
    (SELECT id FROM commands WHERE status = 'pending' ORDER BY posted LIMIT %s FOR UPDATE)
    RETURNING posted, id, kind, arguments, requested_by, deadline"""
_ANSWER = """UPDATE commands AS c SET status = 'answered', answer = a.answer, arguments = '{}'
    FROM unnest(%s::text[], %s::text[]) AS a (id, answer)
    WHERE c.id = a.id AND status = 'taken' RETURNING c.id"""


def is_any_pending(connection: Connection) -> bool:
    """Return whether a command waits."""
    query = "SELECT EXISTS (SELECT FROM commands WHERE status = 'pending')"
    row = connection.execute(query).fetchone()
    return bool(row and row[0])


def withdraw_orphans(connection: Connection) -> None:
    """Withdraw the commands that a dead owner took and did not answer."""
    connection.execute(f"{WITHDRAW} status = 'taken'".encode())


def give_back(connection: Connection, known: Iterable[str]) -> None:
    """Let the taken commands wait again that this owner does not know: the answer to their
    take was lost.
    """
    connection.execute(
        "UPDATE commands SET status = 'pending' WHERE status = 'taken' AND NOT id = ANY(%s)",
        (list(map(to_sql, known)),),
    )


def take(connection: Connection, now: int) -> tuple[CommandRow, ...]:
    """Take the pending commands; withdraw late ones and refuse malformed ones."""
    connection.execute(_REFUSE_MALFORMED.encode(), (MALFORMED_ANSWER, now))
    connection.execute(f"{WITHDRAW} status = 'pending' AND deadline < %s".encode(), (now,))
    rows = connection.execute(_TAKE, (MOST_COMMANDS,)).fetchall()
    return tuple(
        CommandRow._make((*texts_of(values), CommandStatus.TAKEN, None))
        for _, *values in sorted(rows)
    )


def answer(connection: Connection, answers: dict[str, str]) -> bool:
    """Write the answers of taken commands; return False if one was withdrawn meanwhile."""
    if not answers:
        return True
    texts = list(map(to_sql, answers)), list(map(to_sql, answers.values()))
    return len(connection.execute(_ANSWER, texts).fetchall()) == len(answers)


def prune(connection: Connection) -> None:
    """Delete a limited number of commands a day past their deadline."""
    connection.execute(
        "DELETE FROM commands WHERE deadline < %s"
        " AND id IN (SELECT id FROM commands ORDER BY posted LIMIT 1000)",
        (time.time_ns() // 1000 - _KEPT_US,),
    )
