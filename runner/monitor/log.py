"""The append-only JSON-lines file. Touches files; it owns the descriptor of the log.

`place()` → the owner commits it if it differs from the last mark → `append` → the owner
commits the new mark.

A batch that the file did not take whole, and one that a crash cut off, are the same
case: the file itself is asked which lines it has since the mark, the torn one is
completed where it broke off, even in a file that was renamed meanwhile, and the lines
that are nowhere go to the current file. So bringing in a batch can be repeated, and
nothing is ever truncated.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from runner.errors import LogUnwritableError
from runner.monitor.moved import moved_to
from runner.monitor.recovery import Found, found_in, lines_of, missing_suffix
from runner.system.trust import UntrustedError, own_trust

_FLAGS = (
    os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY
)  # NONBLOCK: a FIFO in the log's place must not hold us
_MODE = 0o640  # output tails are not for everyone
_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)  # macOS lacks it

Place = tuple[int, int]


class MonitorLog:
    """The writer. Every batch is whole lines; what a full disk left out of one is
    written first thing later.
    """

    def __init__(self, path: Path) -> None:
        """Create the folder if only that is missing. A folder that cannot be used is
        told by `place`, and looked for again each time: it may return.
        """
        self._path = path
        self._descriptor: int | None = None
        self._unsettled: Place | None = (
            None  # where the batch begins that is perhaps not, or not wholly, in
        )
        self._clean_end: Place | None = None  # where we know that a line ends
        with contextlib.suppress(OSError):  # place() says so
            path.parent.mkdir(exist_ok=True)

    def __str__(self) -> str:
        return f"the monitor log {self._path}"

    def place(self) -> Place:
        """Return (inode, size) of the file the next batch goes to, creating it, or
        reopening it if it was renamed away.

        While a batch is not wholly in, the place where it began. Raises LogUnwritableError.
        """
        if self._unsettled is not None:
            return self._unsettled
        with self._worded():
            return _place_of(self._current())

    def append(self, batch: bytes) -> Place:
        """Append whole lines with one write, fsync, and return the new (inode, size).

        Raises LogUnwritableError after a short or failed write; calling again with the
        same batch (or one that begins with it) continues exactly where it broke off.
        """
        if not batch:
            return self.place()
        if not batch.endswith(b"\n"):
            raise ValueError("a batch is whole lines")
        with self._worded():
            if self._unsettled is None:
                self._add(batch)
            else:
                self._settle(self._unsettled, batch)
            # Not place(): what happens to the file from here on must not make a batch
            # that is in look like a failure.
            return _place_of(self._current() if self._descriptor is None else self._descriptor)

    def recover(self, inode: int, offset: int, batch: bytes) -> None:
        """After a crash: bring `batch` into the log exactly once, given that all before
        `offset` of `inode` is in.

        Finds the marked file by its inode even if it was renamed, also into a folder
        nearby, completes a torn line by its missing suffix, and appends only what is
        not there. Never truncates. Raises LogUnwritableError; calling it, or `append`,
        again goes on. If the marked file is gone (compressed, or on another file
        system), lines that are not in the current file are appended again: a repeat has
        the same id.
        """
        self._unsettled = (inode, offset)
        with self._worded():
            self._settle(self._unsettled, batch)

    def close(self) -> None:
        """Close the file; a closed log may be used again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _add(self, batch: bytes) -> None:
        descriptor = self._current() if self._descriptor is None else self._descriptor
        begin = _place_of(descriptor)
        payload = batch if begin == self._clean_end else _separator(descriptor) + batch
        self._unsettled = begin
        self._write(descriptor, payload)
        self._require_name(descriptor)
        self._unsettled = None
        self._clean_end = (begin[0], begin[1] + len(payload))

    def _settle(self, begin: Place, batch: bytes) -> None:
        """Bring in what is not there of a batch that began at `begin`; nothing if all of it is.

        The file where it began, and every other one that was renamed away since, may
        have a part of it.
        """
        inode, offset = begin
        batch_lines = lines_of(batch)
        with contextlib.ExitStack() as stack:
            held = self._held(stack)
            current = self._current()
            is_current = _place_of(current)[0] == inode
            renamed = [
                (
                    _look(each, offset if at == inode else max(0, size - len(batch)), batch_lines),
                    each,
                )
                for each, (at, size) in self._renamed(held, current, inode, stack).items()
            ]
            in_current = _look(current, offset if is_current else 0, batch_lines)
            known = in_current.lines.union(*(found.lines for found, _ in renamed))
            missing = [line for line in batch_lines if line not in known]
            # Somebody else's torn line may look like the begin of ours; of several the
            # longest is ours.
            tails = [found.tail for found, _ in renamed] + [in_current.tail]
            torn = max(
                (tail for tail in tails if missing_suffix(tail, missing)), key=len, default=b""
            )
            is_torn_here = in_current.tail == torn
            for found, descriptor in renamed:
                missing = self._mend(
                    descriptor, b"" if is_torn_here or found.tail != torn else torn, missing
                )
            self._complete(current, torn if is_torn_here else b"", missing)
        self._require_name(current)
        self._unsettled = None

    def _mend(self, descriptor: int, tail: bytes, missing: list[bytes]) -> list[bytes]:
        """Complete the torn line of a file that was renamed, no more, and return what
        is still missing then.
        """
        if suffix := missing_suffix(tail, missing):
            self._write(descriptor, suffix)
            return missing[1:]
        _sync(descriptor)
        return missing

    def _complete(self, descriptor: int, tail: bytes, missing: list[bytes]) -> None:
        """Write the missing lines with one write, the first as a suffix if the file
        ends in the middle of it.
        """
        if not missing:
            _sync(descriptor)
        elif suffix := missing_suffix(tail, missing):
            self._write(descriptor, suffix + b"".join(missing[1:]))
        else:
            self._write(descriptor, _separator(descriptor) + b"".join(missing))

    def _write(self, descriptor: int, payload: bytes) -> None:
        written = os.write(descriptor, payload)
        _sync(descriptor)
        if written < len(payload):
            raise LogUnwritableError(
                f"the monitor log {self._path} took only {written} of {len(payload)} bytes (is the disk full?);"
                " the rest follows as soon as it can be written"
            )

    def _require_name(self, descriptor: int) -> None:
        """Raise LogUnwritableError if a file that was written to has lost the log's name meanwhile.

        Who renamed it may be compressing it already, and had read it before our bytes
        came; when it is asked again, a little later, either they are in a file that is
        still there, or they are written to the new one.
        """
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(self._path), os.fstat(descriptor)):  # noqa: PTH116 (half the time)
                return
        raise LogUnwritableError(
            f"the monitor log {self._path} was renamed or deleted while it was written to;"
            " what may be missing follows in the new one"
        )

    def _current(self) -> int:
        """Return the descriptor of the file that has the log's name now."""
        if self._descriptor is not None:
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(self._path), os.fstat(self._descriptor)):  # noqa: PTH116 (half the time)
                    return self._descriptor
        descriptor = _open(self._path, os.O_CREAT)
        try:
            _sync_folder(self._path.parent)
        except OSError:
            os.close(descriptor)
            raise
        self.close()
        self._descriptor, self._clean_end = descriptor, None
        return descriptor

    def _held(self, stack: contextlib.ExitStack) -> list[int]:
        """Return the file we hold, if it still has a name: it may have been moved to
        another folder.
        """
        if self._descriptor is None or not os.fstat(self._descriptor).st_nlink:
            return []
        held = os.dup(self._descriptor)
        stack.callback(os.close, held)
        return [held]

    def _renamed(
        self, held: list[int], current: int, marked: int, stack: contextlib.ExitStack
    ) -> dict[int, Place]:
        """Return descriptors of the files that were the log and are not any more, with
        their inodes and sizes.

        The `marked` inode is searched for elsewhere if it is none of those beside the log.
        """
        places = {_place_of(each)[0]: each for each in (*self._beside(stack), *held)}
        in_use = _place_of(current)[0]
        if marked not in (in_use, *places) and (moved := moved_to(self._path, marked)) is not None:
            places |= {_place_of(each)[0]: each for each in _opened(moved, stack)}
        places.pop(in_use, None)
        return {each: _place_of(each) for each in places.values()}

    def _beside(self, stack: contextlib.ExitStack) -> Iterator[int]:
        """Open the files beside the log whose names begin like its own.

        Others are not touched: to close a database's file would drop its locks.
        """
        with (
            contextlib.suppress(FileNotFoundError, PermissionError),
            os.scandir(self._path.parent) as entries,
        ):
            for entry in entries:
                if not entry.name.startswith(self._path.stem) or not entry.is_file(
                    follow_symlinks=False
                ):
                    continue
                yield from _opened(entry.path, stack)

    @contextlib.contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise LogUnwritableError(
                f"the monitor log {self._path} cannot be written: the folder {self._path.parent} does not exist"
            ) from error
        except OSError as error:
            raise LogUnwritableError(
                f"the monitor log {self._path} cannot be written: {error.strerror}"
            ) from error


def _opened(path: Path | str, stack: contextlib.ExitStack) -> Iterator[int]:
    """Open a file that was the log; `stack` closes it. Yields nothing if it is gone or
    closed to us.
    """
    with contextlib.suppress(FileNotFoundError, PermissionError):
        descriptor = _open(path)
        stack.callback(os.close, descriptor)
        yield descriptor


def _open(path: Path | str, extra_flags: int = 0) -> int:
    trust = own_trust()
    if trust is None:
        descriptor = os.open(path, _FLAGS | extra_flags, _MODE)
    else:  # a link that comes after the look is not followed
        path = trust.vetted(path)
        descriptor = os.open(path, _FLAGS | extra_flags | os.O_NOFOLLOW, _MODE)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        if trust and (objection := trust.own_objection(str(path), status)):
            raise UntrustedError(path, objection)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _place_of(descriptor: int) -> Place:
    status = os.fstat(descriptor)
    return status.st_ino, status.st_size


def _separator(descriptor: int) -> bytes:
    """Return a newline if somebody left the last line without one."""
    size = os.fstat(descriptor).st_size
    return b"\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else b""


def _look(descriptor: int, offset: int, batch: list[bytes]) -> Found:
    """Look for the lines of a batch behind `offset`, or, in a file that was truncated
    since, everywhere.
    """
    with open(descriptor, "rb", closefd=False) as file:
        start = offset if offset <= os.fstat(descriptor).st_size else 0
        file.seek(max(start - 1, 0))
        if start:
            file.readline()  # to the next begin of a line: at once if one begins at `start`
        return found_in(file, batch)


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot, and need not
            raise
    finally:
        os.close(descriptor)
