"""Builds the history index and keeps it up to date, step by step. Touches files.

Each step is a transaction of its own and takes a fraction of a second. So a kill at any
moment costs at most one step, readers never wait, and new records never wait for old ones.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from runner.history import tables
from runner.history.building.contents import CHUNK, Content
from runner.history.building.insertion import Insertion
from runner.history.building.log_parts import (
    LogPart,
    Signature,
    numbers_for,
    parts_of,
    signature_of,
)
from runner.history.building.retention import Limits, prune
from runner.history.building.writing import HistoryError, unwritable
from runner.history.seqs import delete_rows, range_of, seq_of
from runner.system.garbage_collection import collection_disabled

_CHUNKS = 4
"""How many chunks a transaction has. Each transaction rewrites most leaves of the indexes."""
_TAIL = 256  # bytes: more than two records have in common


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A row of `files`. With its part's signature, the content was read to its end."""

    number: int
    head: bytes
    signature: Signature
    end: int
    crc: int
    tail: bytes

    def is_at(self, part: LogPart) -> bool:
        """Whether it was last read in the place of `part`: the same device and inode."""
        return part.signature[:2] == self.signature[:2]


class Builder:
    """The writer of an index. The caller makes sure that there is only one."""

    def __init__(self, path: Path, log: Path, limits: Limits) -> None:
        """Open the index at `path`, or create it. Raises HistoryError."""
        self._path, self._log, self._limits = path, log, limits
        self._parts: dict[Path, LogPart] = {}
        self._decompressing: tuple[LogPart, Content, bytes] | None = None
        self._connection: sqlite3.Connection | None = None
        with self._errors_in_words():
            self._open()

    def step(self) -> bool:
        """Do the most urgent piece of work; return whether more is left to do at once.

        An index that was deleted, or that turns out to be damaged, is begun anew. Raises
        HistoryError.
        """
        with collection_disabled(), self._errors_in_words():
            try:
                return self._step()
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in tables.DAMAGED:
                    raise
                self._begin_anew()
                return True

    def close(self) -> None:
        """Close the index."""
        self._stop_decompressing()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> None:
        try:
            self._connection = tables.connect_writer(self._path)
            if tables.version_of(self._connection) != tables.VERSION:
                self._begin_anew()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in tables.DAMAGED:
                raise
            self._begin_anew()
        status = self._path.stat()
        self._identity = status.st_dev, status.st_ino
        assert self._connection is not None
        self._insertion = Insertion(self._connection)

    def _begin_anew(self) -> None:
        self.close()
        tables.remove(self._path)
        self._open()

    def _step(self) -> bool:
        if not self._is_in_place():
            self._begin_anew()
        connection = self._connection
        assert connection is not None
        self._parts = parts_of(self._log, self._parts)
        files = self._placed(connection)
        if files is None:
            self._begin_anew()
            return True
        present = {part.head for part in self._parts.values()}
        obsolete = [file for file in files.values() if file.end < 0 or file.head not in present]
        # The newest first: a page shows the newest executions.
        unread = [
            (part, file)
            for part in reversed(self._parts.values())
            if (file := files[part.head]).end >= 0 and file.signature != part.signature
        ]
        self._note_pending(connection, unread)
        if unread:
            is_at_end = self._read_some(connection, *unread[0])
            if not is_at_end or len(unread) > 1 or obsolete:
                return True
            self._note_pending(connection, [])
        elif obsolete:
            self._drop_some(connection, obsolete[0], is_gone=obsolete[0].head not in present)
            return True
        # What the log got meanwhile is read with what it gets next: not record by record.
        return prune(connection, self._limits)

    def _is_in_place(self) -> bool:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def _placed(self, connection: sqlite3.Connection) -> dict[bytes, _File] | None:
        """Return the rows of all files; a new file gets one. None as `numbers_for` returns it."""
        files = {file.head: file for file in _files_in(connection)}
        heads = [part.head for part in self._parts.values()]
        known = {head: files[head].number for head in heads if head in files}
        numbers = numbers_for(heads, known, [file.number for file in files.values()])
        if numbers is None:
            return None
        for head, number in numbers.items():
            if head not in files:
                files[head] = _new(number, head)
                _put(connection, files[head])
        return files

    def _note_pending(
        self, connection: sqlite3.Connection, unread: list[tuple[LogPart, _File]]
    ) -> None:
        pending = sum(max(part.signature[2] - file.end, 0) for part, file in unread)
        connection.execute("UPDATE progress SET pending = ? WHERE pending <> ?", (pending, pending))

    def _read_some(self, connection: sqlite3.Connection, part: LogPart, file: _File) -> bool:
        """Index the next piece of a file, or notice that it has another content now.

        Return whether its end is reached.
        """
        try:
            content, rest = self._content(part, file)
        except OSError:  # gone since it was listed
            return False
        if content is None:
            _put(connection, replace(file, end=-1))
            return False
        with _transaction(connection):
            for _ in range(_CHUNKS):
                file, rest, is_at_end = self._read_chunk(content, file, rest)
                if is_at_end:
                    break
            _put(connection, file)
        self._keep(part, content, rest, is_at_end=is_at_end)
        return is_at_end

    def _read_chunk(self, content: Content, file: _File, rest: bytes) -> tuple[_File, bytes, bool]:
        """Index one chunk after the `rest` of the one before.

        Return the file's new row, the new rest, and whether the end is reached.
        """
        signature = signature_of(content.status())
        block = rest + content.read(CHUNK)
        is_at_end = len(block) - len(rest) < CHUNK
        cut = block.rfind(b"\n") + 1
        if not cut and len(block) >= CHUNK:
            cut = len(block)  # no line is that long: it holds no record
        read = block[:cut]
        if read:
            self._insertion.add(read, seq_of(file.number, file.end))
        read_file = replace(
            file,
            signature=signature if is_at_end else (*signature[:2], -1, 0),
            end=file.end + len(read),
            crc=zlib.crc32(read, file.crc),
            tail=(file.tail + read)[-_TAIL:],
        )
        return read_file, block[cut:], is_at_end

    def _content(self, part: LogPart, file: _File) -> tuple[Content | None, bytes]:
        """Open a file at the end of what is indexed, with the bytes already read after it.

        None instead of the content if what is indexed is no longer in the file. A file in
        its place, and with the same bytes before that end, counts as unchanged: to read it
        from its beginning again would take seconds.
        """
        if self._decompressing is not None:
            reading, content, carried = self._decompressing
            if reading == part and content.position == file.end + len(carried):
                self._decompressing = None
                return content, carried
            self._stop_decompressing()
        content = Content(part.path)
        if content.is_compressed or not file.is_at(part):
            is_unchanged = content.skip(file.end) == file.crc
        else:
            content.seek(max(file.end - len(file.tail), 0))
            is_unchanged = content.read(len(file.tail)) == file.tail
        if is_unchanged:
            return content, b""
        content.close()
        return None, b""

    def _keep(self, part: LogPart, content: Content, rest: bytes, *, is_at_end: bool) -> None:
        """Keep a compressed file open: to get there again, all before would be decompressed."""
        if content.is_compressed and not is_at_end:
            self._decompressing = part, content, rest
        else:
            content.close()

    def _stop_decompressing(self) -> None:
        if self._decompressing is not None:
            self._decompressing[1].close()
            self._decompressing = None

    def _drop_some(self, connection: sqlite3.Connection, file: _File, *, is_gone: bool) -> None:
        """Delete rows of a file that is gone, or that has another content now."""
        first, last = range_of(file.number)
        with _transaction(connection):
            if delete_rows(connection, first, last):
                _put(connection, replace(file, end=-1))
            elif is_gone:
                connection.execute("DELETE FROM files WHERE number = ?", (file.number,))
            else:
                _put(connection, _new(file.number, file.head))

    @contextmanager
    def _errors_in_words(self) -> Iterator[None]:
        """Raise HistoryError for what the environment causes."""
        try:
            yield
        except OSError as error:
            raise HistoryError(unwritable(self._path, error.strerror or str(error))) from error
        except sqlite3.OperationalError as error:
            raise HistoryError(unwritable(self._path, str(error))) from error


def _new(number: int, head: bytes) -> _File:
    return _File(number=number, head=head, signature=(0, 0, -1, 0), end=0, crc=0, tail=b"")


def _files_in(connection: sqlite3.Connection) -> Iterator[_File]:
    rows = connection.execute(
        'SELECT number, head, device, inode, size, mtime_ns, "end", crc, tail FROM files'
    )
    for number, head, device, inode, size, mtime_ns, end, crc, tail in rows.fetchall():
        signature = (device, inode, size, mtime_ns)
        yield _File(number=number, head=head, signature=signature, end=end, crc=crc, tail=tail)


def _put(connection: sqlite3.Connection, file: _File) -> None:
    row = (file.number, file.head, *file.signature, file.end, file.crc, file.tail)
    connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit the writes of the block as one; on any exception roll them back."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
