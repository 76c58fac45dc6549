"""How much the history index keeps: the oldest executions go first. Touches its database."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from runner.history.seqs import FIRST, delete_rows
from runner.values import instant_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """An index keeps records of this age, and this many bytes."""

    age: timedelta = timedelta(days=400)
    size: int = 4 << 30


def prune(connection: sqlite3.Connection, limits: Limits) -> bool:
    """Delete some of what is beyond the limits; return whether that was necessary.

    Deleted records stay deleted until the index is built anew: their files count as read.
    """
    oldest = connection.execute("SELECT first, last, latest FROM blocks ORDER BY first LIMIT 1")
    if (block := oldest.fetchone()) is None:
        return False
    _, last, latest = block
    cutoff = instant_text(datetime.now(UTC) - limits.age)
    if latest >= cutoff and _size(connection) <= limits.size:
        return False
    connection.execute("BEGIN IMMEDIATE")
    delete_rows(connection, FIRST, last)
    connection.execute("COMMIT")
    return True


def _size(connection: sqlite3.Connection) -> int:
    """Return how many bytes of the file are in use."""
    pragmas = ("page_count", "freelist_count", "page_size")
    pages, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas)
    return int((pages - free) * size)
