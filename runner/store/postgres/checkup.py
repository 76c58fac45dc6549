"""Checks a store in PostgreSQL for `runner doctor` without changing it. Reads the database."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from runner.store.postgres.connecting.address import Address
from runner.store.postgres.connecting.connection import Connection, connect, errors_in_words
from runner.store.postgres.migrating import NEWEST, version_of


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseCondition:
    """The state of a store that answers."""

    version: int
    """0 without tables."""
    newest: int
    """The version that this program writes."""
    server: str
    """The version of PostgreSQL."""
    is_durable: bool
    """Whether the server writes commits to its disk before it confirms them."""
    asynchronous: int
    """How many standby servers may lack the last commits."""
    is_pooled: bool
    """Whether a connection pool lies before the server."""


def condition_of(address: Address) -> DatabaseCondition:
    """Return the condition of a store. Raises StoreError if it cannot be reached or read."""
    with errors_in_words(address), closing(connect(address, what="runner doctor")) as connection:
        return DatabaseCondition(
            version=version_of(connection, address),
            newest=NEWEST,
            server=_one(connection, "SHOW server_version").split()[0],
            is_durable=_one(connection, "SHOW fsync") == "on",
            asynchronous=int(
                _one(
                    connection,
                    "SELECT count(*) FROM pg_stat_replication"
                    " WHERE sync_state IS NULL OR sync_state NOT IN ('sync', 'quorum')",
                )
            ),
            is_pooled=connection.is_pooled,
        )


def _one(connection: Connection, query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None, query
    return str(row[0])
