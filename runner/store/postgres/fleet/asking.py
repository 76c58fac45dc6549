"""Asks a node that does not lead to stop or to restart. Touches the database.

Each function raises psycopg.Error.
"""

from __future__ import annotations

from typing import NamedTuple

from runner.store.postgres.connecting.connection import Connection
from runner.store.postgres.content.texts import to_sql, to_text
from runner.store.rows import Wish


class AskedNode(NamedTuple):
    """A node that was asked."""

    name: str
    instance: str
    """Random for each of its starts."""
    running: int
    """How many executions it has, if it is a worker."""


def ask(connection: Connection, wish: Wish, *, kind: str, state_id: str) -> AskedNode | None:
    """Ask the node with a state folder; return None if it is not registered.

    The node sees it at its next heartbeat. A worker that is to stop takes nothing new from
    then on.
    """
    row = connection.execute(
        "UPDATE nodes SET asked = %s, is_draining = is_draining OR (kind = 'work' AND %s)"
        " WHERE (name, kind) ="
        " (SELECT name, kind FROM nodes WHERE kind = %s AND state_id = %s"
        " ORDER BY heartbeat DESC LIMIT 1)"
        " RETURNING name, instance, (SELECT count(*) FROM dispatches"
        " WHERE nodes.kind = 'work' AND taken_by = nodes.name)",
        (wish, wish is Wish.STOP, kind, state_id),
    ).fetchone()
    connection.execute("NOTIFY runner_stops")
    return None if row is None else AskedNode(to_text(row[0]), *row[1:])


def withdraw(connection: Connection, asked: AskedNode) -> bool:
    """Ask no more; return False if the node has accepted it."""
    done = connection.execute(
        "UPDATE nodes SET asked = NULL WHERE instance = %s AND asked IS NOT NULL", (asked.instance,)
    )
    return done.rowcount == 1


def version_since(connection: Connection, asked: AskedNode, *, state_id: str) -> str | None:
    """Return the version of the node's next instance; None until it has registered."""
    row = connection.execute(
        "SELECT version FROM nodes WHERE state_id = %s AND name = %s AND instance <> %s",
        (state_id, to_sql(asked.name), asked.instance),
    ).fetchone()
    return None if row is None else str(row[0])
