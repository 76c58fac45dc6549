"""How a store is, for `runner doctor`: looked at, never changed. Touches files."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from runner.errors import StoreError
from runner.store import schema
from runner.store.connection import check, connect, database_path, version_of, worded
from runner.system.regular_files import is_missing, is_there


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a sound store is like: its version and the newest, the records that wait for
    the log, bytes of its files.
    """

    version: int
    newest: int
    waiting: int
    bytes: int
    wal_bytes: int


def wal_path(folder: Path) -> Path:
    """Return the place of the write-ahead log in a state folder."""
    path = database_path(folder)
    return path.with_name(f"{path.name}-wal")


def condition_of(folder: Path) -> Condition | None:
    """Check all pages of a store; None if there is none. Raises StoreError, with the
    way out, and OSError.
    """
    path = database_path(folder)
    if is_missing(path):
        return None
    try:
        with worded(path), closing(connect(path, "mode=ro")) as connection:
            version = version_of(connection, path)
            check(connection, path)
            waiting = connection.execute(schema.COUNT_RECORDS).fetchone()[0] if version else 0
    except (sqlite3.Error, UnicodeDecodeError) as error:  # whatever a damaged file makes SQLite say
        raise StoreError(f"the store {path} cannot be read: {error}") from error
    wal = wal_path(folder)
    wal_bytes = wal.stat().st_size if is_there(wal) else 0
    return Condition(
        version=version,
        newest=len(schema.MIGRATIONS),
        waiting=waiting,
        bytes=path.stat().st_size,
        wal_bytes=wal_bytes,
    )


def sqlite_version() -> str:
    """Return the version of the library."""
    return sqlite3.sqlite_version
