"""Checks a store for `runner doctor` without changing it. Touches files."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from runner.errors import StoreError
from runner.store.lock import owner_pid
from runner.store.sqlite import schema
from runner.store.sqlite.connection import (
    check,
    connect,
    database_path,
    errors_in_words,
    require_not_emptied,
    version_of,
)
from runner.store.sqlite.files import wal_of
from runner.system.regular_files import is_missing, is_there


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCondition:
    """The state of a sound store."""

    version: int
    newest: int
    """The version that this program writes."""
    waiting: int
    """How many records the monitor log may still lack."""
    bytes: int
    """The size of the database file."""
    wal_bytes: int


def condition_of(folder: Path) -> StoreCondition | None:
    """Check all pages of a store, and return its condition; None if there is no store.

    Raises StoreError, with the way to repair it, and OSError.
    """
    path = database_path(folder)
    if is_missing(path):
        return None
    try:
        with errors_in_words(path), closing(connect(path, "mode=ro")) as connection:
            version = version_of(connection, path)
            if version == 0 and owner_pid(folder) is None:
                require_not_emptied(path)
            check(connection, path)
            waiting = connection.execute(schema.COUNT_RECORDS).fetchone()[0] if version else 0
    except (sqlite3.Error, UnicodeDecodeError) as error:  # what a damaged file may cause
        raise StoreError(f"the store {path} cannot be read: {error}") from error
    wal = wal_of(path)
    wal_bytes = wal.stat().st_size if is_there(wal) else 0
    return StoreCondition(
        version=version,
        newest=len(schema.MIGRATIONS),
        waiting=waiting,
        bytes=path.stat().st_size,
        wal_bytes=wal_bytes,
    )


def sqlite_version() -> str:
    """Return the version of the SQLite library."""
    return sqlite3.sqlite_version
