"""Brings the tables of a fleet's store to this version. Writes the database."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, LiteralString

from psycopg import sql

from runner.errors import StoreError, StoreInUseError
from runner.store.postgres.connecting.address import Address
from runner.store.postgres.connecting.connection import Connection, missing
from runner.store.postgres.schema import MIGRATIONS

NEWEST = len(MIGRATIONS)
"""The version that this program writes."""


def version_of(connection: Connection, address: Address) -> int:
    """Return the version of the tables; 0 without tables.

    Raises StoreError for a newer version than this program knows.
    """
    (table,) = _one(connection, "SELECT to_regclass('schema_version')")
    if table is None:
        return 0
    version: int = _one(connection, "SELECT max(version) FROM schema_version")[0]
    if version > NEWEST:
        raise StoreError(
            f"the store {address.words} has version {version}, this program knows up to"
            f" {NEWEST}; install the newer version that wrote it"
        )
    return version


def require_current(connection: Connection, address: Address) -> None:
    """Raise StoreError unless the tables have this version."""
    version = version_of(connection, address)
    if version == 0:
        raise missing(address)
    if version < NEWEST:
        raise StoreError(
            f"the store {address.words} has version {version}, this program writes {NEWEST};"
            " `runner store migrate` or the next `runner start` brings it up to date"
        )


def migrate(connection: Connection, address: Address, *, state_id: str | None = None) -> int:
    """Create the tables or bring them up to date, in one transaction.

    Return the former version, 0 without tables. The node with the state folder `state_id`
    may still have the lease. Raises StoreInUseError while another node leads, psycopg.Error
    and StoreError.
    """
    version = version_of(connection, address)
    if version == NEWEST and not _new_queue_scripts(connection):
        return version
    with connection.transaction():
        # Two programs that start together migrate one after the other.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('runner migrates'))")
        version = version_of(connection, address)
        if version == 0:
            connection.execute(
                sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(address.schema))
            )
            connection.execute(
                "CREATE TABLE schema_version (version integer PRIMARY KEY,"
                " at timestamptz NOT NULL DEFAULT clock_timestamp())"
            )
            _create_queue(connection)
        else:
            _require_no_leader(connection, address, state_id)
            for name, script in _new_queue_scripts(connection).items():
                connection.execute(script.read_bytes())
                connection.execute("INSERT INTO queue_scripts (name) VALUES (%s)", (name,))
        for number, step in enumerate(MIGRATIONS[version:], version + 1):
            for statement in step:
                connection.execute(statement)
            connection.execute("INSERT INTO schema_version (version) VALUES (%s)", (number,))
    return version


def _require_no_leader(connection: Connection, address: Address, state_id: str | None) -> None:
    """Lock the lease until the end of the transaction, so that a former leader of the old
    version commits nothing more.
    """
    free = connection.execute(
        "UPDATE lease SET epoch = epoch + 1, expires = '-infinity'"
        " WHERE expires <= clock_timestamp() OR state_id = %s",
        (state_id,),
    )
    if free.rowcount == 0:
        (node,) = _one(connection, "SELECT node FROM lease")
        raise StoreInUseError(
            f"the store {address.words} has an older version, and node {node} still leads;"
            " stop all nodes of the old version first"
        )


def _create_queue(connection: Connection) -> None:
    """Create the tables of Procrastinate, whose own script names no schema."""
    connection.execute(files("procrastinate").joinpath("sql", "schema.sql").read_bytes())
    connection.execute("CREATE TABLE queue_scripts (name text PRIMARY KEY)")
    names = [(name,) for name in _queue_scripts()]
    connection.cursor().executemany("INSERT INTO queue_scripts (name) VALUES (%s)", names)


def _queue_scripts() -> dict[str, Traversable]:
    """Return the scripts that bring the tables of Procrastinate up to date, in their order."""
    folder = files("procrastinate").joinpath("sql", "migrations")
    scripts = {each.name: each for each in folder.iterdir() if each.name.endswith(".sql")}
    return dict(sorted(scripts.items()))


def _new_queue_scripts(connection: Connection) -> dict[str, Traversable]:
    """Return the scripts of the installed Procrastinate that the store has not had yet."""
    known = {name for (name,) in connection.execute("SELECT name FROM queue_scripts")}
    return {name: script for name, script in _queue_scripts().items() if name not in known}


def _one(connection: Connection, query: LiteralString) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None, query
    return row
