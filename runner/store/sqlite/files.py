"""Checks whether the files of an open store are still the ones that the runner opened.
Touches files; opens no database.

SQLite keeps writing into a file that was deleted, or that another program changed. It
reports no error then, and its commits are lost after a kill.
"""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass
from pathlib import Path

_SHARED_HEADER, _SHARED_BYTES = struct.Struct("=14xHI12x8s8x48xI"), 100
"""The WAL index (sqlite.org/walformat.html): page size, frames, salt; after both copies
of the header, the number of checkpointed frames.
"""
_WAL_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24
_SALT = slice(16, 24)  # in the header of the write-ahead log
_LARGEST_PAGE = 65536


def wal_of(database: Path) -> Path:
    """Return the path of a database's write-ahead log."""
    return database.with_name(f"{database.name}-wal")


def shared_of(database: Path) -> Path:
    """Return the path of the index of the write-ahead log, which all programs share."""
    return database.with_name(f"{database.name}-shm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What the WAL index says about the write-ahead log."""

    page_bytes: int
    frames: int
    salt: bytes
    checkpointed: int

    @property
    def wal_bytes(self) -> int:
        """The minimum length of the write-ahead log."""
        return (
            _WAL_HEADER_BYTES + self.frames * (_FRAME_HEADER_BYTES + self.page_bytes)
            if self.frames
            else 0
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    """What only a checkpoint may change in the database file, and how far checkpoints are."""

    size: int
    modified_ns: int
    salt: bytes
    checkpointed: int


class StoreFiles:
    """Compares a store's files with their former state. Close it after the connection.

    A process that closes any descriptor of a file loses all its POSIX locks on that file,
    including SQLite's (fcntl(2)).
    """

    def __init__(self, database: Path, *others: Path) -> None:
        """Watch a database that is open in WAL mode, and `others` that must stay in place.

        Raises OSError.
        """
        self._database, self._wal, self._shared = database, wal_of(database), shared_of(database)
        watched = (database, *others, self._wal, self._shared)
        self._places = {place: _identity(place) for place in watched}
        self._index_file = os.open(self._shared, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._wal_file = os.open(self._wal, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(self._index_file)
            raise
        self._known = self._contents(self._index())

    @property
    def wal_bytes(self) -> int:
        """The current length of the write-ahead log."""
        return os.fstat(self._wal_file).st_size

    @property
    def frames(self) -> int:
        """How many pages the write-ahead log holds."""
        return self._index().frames

    @property
    def shared_inode(self) -> int:
        """The inode of the index, on which readers hold their locks."""
        return os.fstat(self._index_file).st_ino

    def moved(self) -> list[Path]:
        """Return the files that were removed or replaced.

        Raises OSError if that cannot be known, for instance without permission.
        """
        return [place for place, identity in self._places.items() if _identity(place) != identity]

    def has_lost_only_its_log(self) -> bool:
        """Return whether only the write-ahead log (and perhaps its index) was removed.

        Nothing may have taken its place. Then the connection has everything that was
        committed, and no other program can have written since. Raises OSError.
        """
        moved = self.moved()
        return self._wal in moved and all(
            place in (self._wal, self._shared) and _identity(place) is None for place in moved
        )

    def damage(self) -> str | None:
        """Return what another program did to the contents of the files; None if nothing.

        A checkpoint by another program changes the database a moment before the index. In
        between, this may report a change that the next call finds explained.
        """
        index = self._index()
        size = os.fstat(self._wal_file).st_size
        # Compare the index again: a log that began anew in between is no damage.
        if size < index.wal_bytes and self._index() == index:
            return f"{self._wal} was truncated"
        if (
            index.frames
            and os.pread(self._wal_file, 32, 0)[_SALT] != index.salt
            and self._index() == index
        ):
            return f"{self._wal} was overwritten"
        # A different salt or checkpoint count explains a changed database: a checkpoint
        # did it. With the same ones, something else wrote to the file.
        now = self._contents(index)
        if now == self._known or (now.salt, now.checkpointed) != (
            self._known.salt,
            self._known.checkpointed,
        ):
            self._known = now
            return None
        what = "truncated" if now.size < self._known.size else "changed"
        return f"{self._database} was {what} by another program"

    def note_commit(self) -> None:
        """Note the state of the index after a commit, which did not touch the database.

        The commit may have begun the write-ahead log anew, with a new salt. Noted here,
        that salt cannot excuse a later change of the database. Raises OSError.
        """
        now = self._contents(self._index())
        if (now.size, now.modified_ns) == (self._known.size, self._known.modified_ns):
            self._known = now

    def take_over(self) -> None:
        """Accept the current contents, because the runner itself changed them. Raises OSError."""
        self._known = self._contents(self._index())

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor in (self._index_file, self._wal_file):
            os.close(descriptor)

    def _index(self) -> Index:
        header = os.pread(self._index_file, _SHARED_BYTES, 0).ljust(_SHARED_BYTES, b"\0")
        page_bytes, frames, salt, checkpointed = _SHARED_HEADER.unpack(header)
        return Index(
            # 1 stands for 65536, which does not fit into 16 bits.
            page_bytes=_LARGEST_PAGE if page_bytes == 1 else page_bytes,
            frames=frames,
            salt=salt,
            checkpointed=checkpointed,
        )

    def _contents(self, index: Index) -> _Contents:
        status = self._database.stat()
        return _Contents(
            size=status.st_size,
            modified_ns=status.st_mtime_ns,
            salt=index.salt,
            checkpointed=index.checkpointed,
        )


def _identity(path: Path) -> tuple[int, int] | None:
    """Return a file's device and inode; None if it is gone. Raises OSError."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def unreachable_words(database: Path, error: OSError) -> str:
    """Return a sentence for a store whose files cannot be looked at now.

    For a missing permission it names the folder that lacks it.
    """
    words = f"the store {database} cannot be reached: {(error.strerror or str(error)).lower()}"
    closed = (each for each in reversed(database.parents) if not os.access(each, os.X_OK))
    if error.errno == errno.EACCES and (folder := next(closed, None)) is not None:
        return f"{words}; the runner's user may not enter {folder}: change it (chmod, chown)"
    return words
