"""The outputs of executions in the store: what workers sent, in pieces. Touches the database.

Each function raises psycopg.Error.
"""

from __future__ import annotations

from collections.abc import Collection

from runner.store.postgres.connecting.connection import Connection
from runner.store.protocol import OutputPiece, StoredOutput


def pieces_of(connection: Connection, execution: str) -> tuple[OutputPiece, ...]:
    """Return the pieces of an execution's output, in order."""
    rows = connection.execute(
        "SELECT sequence, octet_length(data) FROM outputs WHERE execution = %s ORDER BY sequence",
        (execution,),
    )
    return tuple(OutputPiece(*row) for row in rows)


def piece_of(connection: Connection, execution: str, number: int) -> bytes:
    """Return the bytes of a piece; none if it was deleted."""
    row = connection.execute(
        "SELECT data FROM outputs WHERE execution = %s AND sequence = %s", (execution, number)
    ).fetchone()
    return b"" if row is None else bytes(row[0])


def members_of(connection: Connection, group: str) -> tuple[tuple[str, str], ...]:
    """Return the ids and names of the members of a group that have an output."""
    rows = connection.execute(
        "SELECT DISTINCT execution, name FROM outputs WHERE name >= %s AND name < %s",
        (f"{group}.", f"{group}/"),  # the character after the dot
    )
    return tuple((execution, name) for execution, name in rows)


def outputs_after(connection: Connection, owner: str, at_most: int) -> tuple[StoredOutput, ...]:
    """Return the outputs of executions after `owner`, in the order of their ids."""
    rows = connection.execute(
        "SELECT split_part(name, '.', 1) AS owner, sum(octet_length(data))::bigint,"
        " count(DISTINCT execution) FROM outputs WHERE name > %s GROUP BY owner"
        " ORDER BY owner LIMIT %s",
        (f"{owner}/", at_most),
    )
    return tuple(StoredOutput(*row) for row in rows)


def sizes_of(connection: Connection) -> dict[str, int]:
    """Return the bytes of the outputs of each execution; a group's are those of its members."""
    rows = connection.execute(
        "SELECT split_part(name, '.', 1) AS owner, sum(octet_length(data))::bigint"
        " FROM outputs GROUP BY owner"
    )
    return dict(rows.fetchall())


def delete_outputs(connection: Connection, owners: Collection[str]) -> None:
    """Delete the outputs of executions; a group's are those of its members."""
    for owner in owners:
        connection.execute(
            "DELETE FROM outputs WHERE name = %s OR name >= %s AND name < %s",
            (owner, f"{owner}.", f"{owner}/"),
        )
