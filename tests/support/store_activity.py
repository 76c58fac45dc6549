"""What other programs are doing to a store at this moment, in SQLite or in PostgreSQL."""

from __future__ import annotations

import os
import select
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import psycopg

from runner.store.place import StorePlace


def is_free(store: StorePlace) -> bool:
    """Return whether no program is inside a write transaction of a store."""
    if store.url is not None:
        return not _rows(
            store.url,
            "SELECT FROM pg_stat_activity WHERE datname ="
            " current_database() AND state LIKE 'idle in transaction%'",
        )
    with closing(
        sqlite3.connect(store.folder / "store.sqlite3", timeout=0, isolation_level=None)
    ) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.execute("ROLLBACK")
        return True


def has_posted(store: StorePlace) -> bool:
    """Return whether a command has written what the runner has yet to read."""
    if store.url is not None:
        return bool(_rows(store.url, "SELECT FROM runner.commands WHERE status = 'pending'"))
    descriptor = os.open(store.folder / "wake", os.O_RDONLY | os.O_NONBLOCK)
    try:
        return bool(select.select([descriptor], [], [], 0)[0])
    finally:
        os.close(descriptor)


def stored_texts(store: StorePlace) -> Iterator[str]:
    """Yield everything in a store of PostgreSQL, as text; nothing for a store of SQLite."""
    if store.url is None:
        return
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'runner'"
    for (table,) in _rows(store.url, tables):
        for (row,) in _rows(store.url, f"SELECT each::text FROM runner.{table} AS each"):
            yield str(row)
    for (data,) in _rows(store.url, "SELECT data FROM runner.outputs"):
        assert isinstance(data, bytes)
        yield data.decode(errors="replace")


def _rows(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()
