"""Opens log files without following what must not be followed, and looks into them.
Touches files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from runner.monitor.recovery import Found, found_in
from runner.system.trust import UntrustedError, own_trust

# O_APPEND: each write goes to the end, even if another program appends as well.
# O_NONBLOCK: opening a FIFO in the log's place must not block the loop.
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY
_MODE = 0o640  # no access for others: records contain the end of each output

Place = tuple[int, int]
"""A position in a log file: inode, and offset in bytes."""


def opened(path: Path | str, stack: contextlib.ExitStack) -> Iterator[int]:
    """Open a former log file; `stack` closes it.

    Yield nothing if the file is gone or the runner may not open it.
    """
    with contextlib.suppress(FileNotFoundError, PermissionError):
        descriptor = open_log(path)
        stack.callback(os.close, descriptor)
        yield descriptor


def opened_beside(log: Path, stack: contextlib.ExitStack) -> Iterator[int]:
    """Open the files beside the log whose names begin with the log's stem.

    Open no others: closing a descriptor of SQLite's database would drop its locks.
    """
    with (
        contextlib.suppress(FileNotFoundError, PermissionError),
        os.scandir(log.parent) as entries,
    ):
        for entry in entries:
            if entry.name.startswith(log.stem) and entry.is_file(follow_symlinks=False):
                yield from opened(entry.path, stack)


def open_log(path: Path | str, extra_flags: int = 0) -> int:
    """Open a log file for reading and appending.

    Raises OSError, also for a file that is not regular or that root must not trust.
    """
    trust = own_trust()
    if trust is None:
        descriptor = os.open(path, _FLAGS | extra_flags, _MODE)
    else:  # O_NOFOLLOW: another user may replace the file by a link after the check
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


def place_of(descriptor: int) -> Place:
    """Return the file's inode, and its size: the place of the next byte."""
    status = os.fstat(descriptor)
    return status.st_ino, status.st_size


def separator(descriptor: int) -> bytes:
    """Return a newline if another program left the last line without one."""
    size = os.fstat(descriptor).st_size
    return b"\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else b""


def lines_in(descriptor: int, offset: int, batch: list[bytes]) -> Found:
    """Search a file from `offset` on for the lines of a batch.

    Search the whole file if `offset` is negative, or if the file is shorter: it was
    truncated since.
    """
    with open(descriptor, "rb", closefd=False) as file:
        start = max(offset, 0) if offset <= os.fstat(descriptor).st_size else 0
        file.seek(max(start - 1, 0))
        if start:
            file.readline()  # skip to the next line; reads one byte if it begins at `start`
        return found_in(file, batch)


def sync_folder(folder: Path) -> None:
    """Make the name of a new file durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)
