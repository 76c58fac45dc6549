"""The tables of the history index, and connections to them. Touches files."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from runner.history.rows import COLUMNS
from runner.system.file_locks import flock_holder

VERSION = 2
"""An index of another version is built again."""
_BUSY_S = 5.0
_CACHE_KIB = 65_536
_PAGE_BYTES = 8192
"""Twice SQLite's default: a tenth less time to build the index."""
_WAL_PAGES = 16_384
"""128 MB: a page that is overwritten meanwhile is copied into the index only once."""
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""SQLite's primary error codes for an index that has to be built again."""
SIDES = ("", "-wal", "-shm")

_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
TABLES = f"""
-- A file of the log. It keeps its number when it is renamed or compressed.
CREATE TABLE files (
    number INTEGER PRIMARY KEY, -- older files have lower numbers
    head BLOB NOT NULL,         -- the digest of the first line: it identifies the file
    device INTEGER NOT NULL, inode INTEGER NOT NULL, -- the file's place when it was last read
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    "end" INTEGER NOT NULL,     -- how far the content is indexed; -1: rows of another content
    crc INTEGER NOT NULL,       -- of the content up to there
    tail BLOB NOT NULL          -- the last bytes before it
);
-- `seq` is the file's number and the record's offset in it: the order of the log.
CREATE TABLE executions (
    seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, form INTEGER NOT NULL, {_NAMES}
);
CREATE INDEX executions_by_kind ON executions (kind);
CREATE INDEX executions_by_id ON executions (execution);
CREATE INDEX members ON executions ("group") WHERE "group" IS NOT NULL;
CREATE INDEX followers ON executions (follows) WHERE follows IS NOT NULL;
CREATE INDEX further_attempts ON executions (scheduled_for) WHERE attempt > 1;
CREATE VIRTUAL TABLE texts USING fts5 (
    message, output_tail, content='executions', content_rowid='seq', columnsize=0
);
CREATE TABLE kinds (
    id INTEGER PRIMARY KEY, record TEXT NOT NULL UNIQUE,
    total INTEGER NOT NULL DEFAULT 0 -- how many were ever indexed: a counter that only grows
);
CREATE TABLE forms (id INTEGER PRIMARY KEY, record TEXT NOT NULL UNIQUE);
-- Runs of executions in the order of the log, with their earliest and latest time.
CREATE TABLE blocks (first INTEGER PRIMARY KEY, last INTEGER NOT NULL,
    earliest TEXT NOT NULL, latest TEXT NOT NULL, count INTEGER NOT NULL);
-- What else the log records: requests, reloads, alerts, notifications, pauses.
CREATE TABLE events (seq INTEGER PRIMARY KEY, event TEXT NOT NULL, record TEXT NOT NULL);
CREATE TABLE buckets (name TEXT NOT NULL, bound REAL NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (name, bound)) WITHOUT ROWID;
CREATE TABLE sums (name TEXT PRIMARY KEY, total REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE progress (pending INTEGER NOT NULL); -- how many bytes of the log are not indexed yet
INSERT INTO progress VALUES (0);
"""


def index_path(state: Path) -> Path:
    """Return the path of the index in a state folder."""
    return state / "history.sqlite3"


def lock_path(state: Path) -> Path:
    """Return the path of the lock that the index's writer holds."""
    return state / "history.lock"


def writer_of(state: Path) -> str | None:
    """Return the program that keeps the index up to date, as "process 123 (name)"."""
    try:
        return flock_holder(lock_path(state).stat().st_ino)
    except OSError:
        return None


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open or create an index for writing. Raises sqlite3.DatabaseError and OSError.

    It is not synced to the disk: after a power failure it is built again.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    os.close(descriptor)
    connection = _connect(path, "mode=rw")
    try:
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
        if version_of(connection) == 0:
            connection.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
            # Texts are gathered in this many bytes of memory before they are written, and
            # the parts of their index are merged rarely: a tenth of the time to build it.
            connection.execute("INSERT INTO texts (texts, rank) VALUES ('hashsize', 16777216)")
            connection.execute("INSERT INTO texts (texts, rank) VALUES ('automerge', 16)")
    except BaseException:
        connection.close()
        raise
    return connection


class _ThreadConnection(sqlite3.Connection):
    """Closes with the thread that has it; Python 3.13 and later warn if nobody closes it."""

    def __del__(self) -> None:
        self.close()


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open an index for reading. Raises sqlite3.DatabaseError, also if there is none."""
    connection = _connect(path, "mode=ro", _ThreadConnection)
    connection.execute("PRAGMA query_only = ON")
    return connection


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of an index's tables; 0 for an empty file."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return int(version) if count else 0


def remove(path: Path) -> None:
    """Delete an index with the files beside it. Raises OSError."""
    for side in SIDES:
        path.with_name(f"{path.name}{side}").unlink(missing_ok=True)


def _connect(
    path: Path, options: str, kind: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{options}"
    return sqlite3.connect(
        uri,
        uri=True,
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
        factory=kind,
    )
