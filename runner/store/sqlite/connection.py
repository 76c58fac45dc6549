"""Opens the store's file, runs transactions, and words SQLite's errors for people.
Touches files.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.errors import StoreError, StoreUnwritableError
from runner.store.lock import lock_path
from runner.store.sqlite import schema
from runner.store.sqlite.wake import wake_path
from runner.system.regular_files import is_read_only, is_there, kind_of

_BUSY_S = 2.0
"""How long the owner waits for another writer; the loop stands still meanwhile."""
_BESIDE = ("-wal", "-shm", "-journal")
_USUAL_WAL = 2**20
_AMPLE_DISK = 64 * _USUAL_WAL
"""Free bytes below which the write-ahead log is not lengthened in advance."""
_UNWRITABLE = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_PERM: "permission is denied",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; look at the folder and its permissions",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_BUSY: "another program keeps it locked",
    sqlite3.SQLITE_LOCKED: "another program keeps it locked",
    sqlite3.SQLITE_PROTOCOL: "another program keeps it locked",
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT: "is damaged", sqlite3.SQLITE_NOTADB: "is not an SQLite file"}


def database_path(folder: Path) -> Path:
    """Return the path of the database in a state folder."""
    return folder / "store.sqlite3"


def create_file(path: Path) -> None:
    """Create an empty database that only its owner can read, if there is none. Raises OSError.

    An existing file is never opened: to close it again would release the locks that
    SQLite holds on it in this process (sqlite.org/howtocorrupt.html, 2.2).
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return


def connect(path: Path, options: str, *, busy_s: float = _BUSY_S) -> sqlite3.Connection:
    """Open a database with SQLite's URI `options`, such as "mode=rw".

    A transaction begins only with an explicit BEGIN. While another program writes, a
    statement waits up to `busy_s` seconds. Raises StoreError for anything but regular
    files: SQLite would wait for the other end of a FIFO.
    """
    _require_regular(path, path.stat)
    for beside in (path.with_name(f"{path.name}{suffix}") for suffix in _BESIDE):
        # SQLite writes these, and creates them, where a link leads: even as a reader.
        _require_regular(beside, beside.lstat)
    uri = f"{path.absolute().as_uri()}?{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=busy_s, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _require_regular(path: Path, look: Callable[[], os.stat_result]) -> None:
    try:
        status = look()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StoreError(
            f"the store {path} cannot be read: {(error.strerror or str(error)).lower()}"
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise unusable(path, f"is {kind_of(status)}, not a file")


def require_not_emptied(path: Path) -> None:
    """Raise StoreError for an empty database of a folder that a runner has used.

    SQLite would take it for a new store, and all one-time requests would run again. The
    FIFO shows that a runner has used the folder. Raises OSError.
    """
    if is_there(wake_path(path.parent)) and is_there(path) and not path.stat().st_size:
        raise unusable(path, "is empty, though a runner has used it")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit the writes of the block as one; on any exception roll them back."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def errors_in_words(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the environment into errors for people.

    Raises StoreUnwritableError if the problem may pass, StoreError if the file stays
    unusable. An error that is a bug passes through unchanged.
    """
    try:
        yield
    except UnicodeDecodeError as error:  # SQLite's message quotes the damaged schema
        raise unusable(path, "is damaged (its tables' definitions)") from error
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _UNWRITABLE:
            require_writable(path)
            raise StoreUnwritableError(
                f"the store {path} cannot be used: {_UNWRITABLE[code]} ({error})"
            ) from error
        if code in _DAMAGED:
            raise unusable(path, f"{_DAMAGED[code]} ({error})") from error
        if str(error).startswith("no such "):
            raise unusable(path, f"lacks tables of its version ({error})") from error
        # sqlite3 raises this itself, without a code and with the whole text.
        if "decode to UTF-8" in str(error):
            raise unusable(path, "is damaged (a text is not UTF-8)") from error
        raise


def require_writable(path: Path) -> None:
    """Raise StoreUnwritableError for a database on a file system that is read-only now.

    SQLite calls that an I/O error. If another mount covers the folder, it even goes on
    writing into its open files, while no output can be created. So the lock is opened for
    writing: unlike SQLite's files, a process may close it without losing locks.
    """
    if is_read_only(lock_path(path.parent)):
        raise StoreUnwritableError(
            f"the store {path} cannot be used: it is on a file system that is mounted read-only"
        )


@contextmanager
def row_errors_in_words(path: Path) -> Iterator[None]:
    """Word an unreadable row in a store whose pages are sound. Raises StoreError."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise unusable(path, "is damaged (a row in it cannot be read)") from error


def unusable(path: Path, what: str) -> StoreError:
    """Return the error for a file that is no usable store, with the least costly way out."""
    aside = shlex.quote(str(path.parent / "set-aside"))
    return StoreError(
        f"the store {path} {what}. To begin with an empty store, move it away and start again: "
        f"mkdir {aside} && mv {shlex.quote(str(path))}* {aside}. The monitor log stays as it is; "
        f"what the store knew is forgotten, so one-time requests run again"
    )


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of the tables; 0 for an empty file.

    Raises StoreError if the tables belong to another application or to a newer version.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (is_empty,) = connection.execute("SELECT NOT EXISTS (SELECT 1 FROM sqlite_master)").fetchone()
    if is_empty and application in (0, schema.APPLICATION_ID):
        return 0
    if application == schema.MOVED_ID:
        raise StoreError(
            f"the store {path} was moved to PostgreSQL by `runner store copy`; name its URL in"
            " RUNNER_STORE, or in a file with --store-file"
        )
    if application != schema.APPLICATION_ID:
        raise unusable(path, "belongs to another application")
    if version > len(schema.MIGRATIONS):
        raise StoreError(
            f"the store {path} has version {version}, this runner knows up to"
            f" {len(schema.MIGRATIONS)}; "
            f"install the newer runner that wrote it, or choose another state folder (--state)"
        )
    return int(version)


def require_current(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError unless the tables have this version; only the owner migrates them."""
    version = version_of(connection, path)
    if version != len(schema.MIGRATIONS):
        raise StoreError(
            f"the store {path} has version {version}, this program writes"
            f" {len(schema.MIGRATIONS)}; "
            f"restart its runner with this version, which brings the store up to date"
        )


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the tables to this version in one transaction; an empty file gets all of them.

    Raises the errors of `version_of`.
    """
    version = version_of(connection, path)
    if version == len(schema.MIGRATIONS):
        return
    with transaction(connection):
        for step in schema.MIGRATIONS[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS)}")


def use_wal(connection: sqlite3.Connection, path: Path) -> None:
    """Switch to the write-ahead log.

    Raises StoreError if the file system cannot share memory, as NFS cannot.
    """
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreError(
            f"the store {path} needs a local file system; choose another state folder (--state)"
        )


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError if the pages of the file are inconsistent."""
    (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise unusable(path, f"is damaged ({' '.join(finding.split())})")


def lengthen_wal(connection: sqlite3.Connection, path: Path) -> None:
    """Make the write-ahead log as long as it usually grows; later commits overwrite it.

    A commit that lengthens a file also waits for the file system's journal, and takes
    half as long again. A nearly full disk is left alone.
    """
    disk = os.statvfs(path.parent)
    if disk.f_bavail * disk.f_frsize < _AMPLE_DISK:
        return
    with transaction(connection):
        connection.execute(schema.INSERT_PADDING, (_USUAL_WAL,))
    with transaction(connection):
        connection.execute(schema.DELETE_PADDING)
