"""The names of the nodes that may lead, and the records that their logs still need. Writes
the database.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

from runner import __version__
from runner.errors import StoreError
from runner.store.postgres.connecting.connection import Connection
from runner.store.postgres.fleet import nodes
from runner.store.postgres.fleet.nodes import StartNode
from runner.store.rows import KEPT_DAYS
from runner.system.machine import machine_id


def names_for(state_id: str) -> Iterator[str]:
    """Yield the names that a new node may take, the best one first.

    Two nodes of one machine have the same host name.
    """
    host = socket.gethostname()
    yield host
    yield f"{host}-{state_id[-4:]}"
    yield f"{host}-{state_id[-12:]}"


def registered_name(connection: Connection, state_id: str) -> str:
    """Return the name of the node with a state folder; register a new one.

    Raises StoreError if all its names are taken.
    """
    if (kept := nodes.name_of(connection, state_id)) is not None:
        return kept
    for name in names_for(state_id):
        node = StartNode(
            name=name,
            machine=machine_id(),
            boot="",
            state_id=state_id,
            instance=str(uuid4()),
            version=__version__,
        )
        if nodes.register(connection, node) is not None:
            return name
    raise StoreError(f"other nodes of the fleet have all names of this one ({name})")


def prune_records(connection: Connection, longest: timedelta) -> None:
    """Delete a limited number of records older than `longest` that every node has in its log.

    A node that was silent for `KEPT_DAYS` does not count.
    """
    connection.execute(
        "DELETE FROM records WHERE seq IN (SELECT seq FROM records ORDER BY seq LIMIT 1000)"
        " AND at < clock_timestamp() - %(longest)s"
        " AND seq <= (SELECT min(log_seq) FROM nodes WHERE kind = 'start'"
        # The leader's sign of life is its lease.
        " AND (heartbeat > clock_timestamp() - make_interval(days => %(days)s)"
        " OR state_id = (SELECT state_id FROM lease)))",
        {"days": KEPT_DAYS, "longest": longest},
    )
