"""Opens and reads files that may be of any kind or size. Touches files.

A FIFO does not block the reader, a device is not opened, and a large file does not
exhaust memory. The runner reads every file that it did not write through this module.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from pathlib import Path

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_CHUNK = 1 << 20
_WRITER_PATIENCE_MS = 2_000  # for a shell to start the writer of a pipe
_KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFLNK: "a symbolic link",
}  # fmt: skip

Signature = tuple[int, int, int, int, int]
"""Device, inode, size, mtime and ctime, both in nanoseconds.

A file with the same signature is taken as unchanged.
"""


class NotRegularError(OSError):
    """The path leads to something else than a regular file; the text says what it is."""

    def __init__(self, path: str | Path, status: os.stat_result) -> None:
        super().__init__(errno.EINVAL, f"it is {kind_of(status)}, not a file", str(path))


class TooLargeError(OSError):
    """The file is larger than its reader accepts."""

    def __init__(self, path: str | Path, at_most: int) -> None:
        super().__init__(errno.EFBIG, f"it is larger than {size_text(at_most)}", str(path))


def kind_of(status: os.stat_result) -> str:
    """Return the kind of a file that is not regular, in words."""
    return _KINDS.get(stat.S_IFMT(status.st_mode), "something else")


def size_text(size: int) -> str:
    """Return a size in words, in MiB or KiB if it is a whole number of them.

    >>> [size_text(size) for size in (1 << 20, 64 << 10, 100)]
    ['1 MiB', '64 KiB', '100 bytes']
    """
    for shift, unit in ((20, "MiB"), (10, "KiB")):
        if size and not size % (1 << shift):
            return f"{size >> shift} {unit}"
    return f"{size} bytes"


def signature_of(status: os.stat_result) -> Signature:
    """Return the signature of a stat result."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def open_regular(path: str | Path) -> int:
    """Open a regular file for reading and return its descriptor.

    Raises NotRegularError for anything else, OSError, and ValueError for a path that
    contains a NUL.
    """
    # Check before opening, because opening a device can start something (a tape, a
    # watchdog); and after it, because another file may have taken the name. No Path:
    # creating 10,000 of them takes longer than the stats.
    _require_regular(path, os.stat(path))  # noqa: PTH116
    descriptor = os.open(path, _FLAGS)
    try:
        _require_regular(path, os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_regular(path: str | Path, *, at_most: int) -> bytes:
    """Return the bytes of a regular file. Files of /proc, which show size 0, work too.

    Raises NotRegularError, TooLargeError beyond `at_most` bytes, OSError, and
    ValueError as `open_regular`.
    """
    descriptor = open_regular(path)
    try:
        if os.fstat(descriptor).st_size > at_most:
            raise TooLargeError(path, at_most)
        return _read_on(descriptor, path, at_most)
    finally:
        os.close(descriptor)


def read_given(path: str | Path, *, at_most: int) -> bytes:
    """Return the bytes of a file named on the command line, which may be a pipe.

    A shell passes one for `<(crontab -l)`. Raises NotRegularError for any other kind of
    file, and for a pipe without a writer after 2 s; TooLargeError, OSError, ValueError.
    """
    status = os.stat(path)  # noqa: PTH116
    if not stat.S_ISFIFO(status.st_mode):
        return read_regular(path, at_most=at_most)
    descriptor = os.open(path, _FLAGS)
    try:
        begin = _beginning(descriptor)
        if begin is None:
            raise NotRegularError(path, status)
        os.set_blocking(descriptor, True)
        return begin + _read_on(descriptor, path, at_most)
    finally:
        os.close(descriptor)


def _beginning(descriptor: int) -> bytes | None:
    """Return the bytes waiting in a pipe; None if no writer opens it within 2 s."""
    try:
        if begin := os.read(descriptor, _CHUNK):
            return begin
    except BlockingIOError:  # a writer has it open, and may take its time
        return b""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return b"" if poll.poll(_WRITER_PATIENCE_MS) else None


def _read_on(descriptor: int, path: str | Path, at_most: int) -> bytes:
    parts, left = [], at_most + 1
    while left and (part := os.read(descriptor, min(left, _CHUNK))):
        parts.append(part)
        left -= len(part)
    if not left:
        raise TooLargeError(path, at_most)
    return b"".join(parts)


def _require_regular(path: str | Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotRegularError(path, status)


def is_there(path: str | Path) -> bool:
    """Return whether a path leads to a visible file of any kind.

    Unlike `Path.exists`, never raise.
    """
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: str | Path) -> bool:
    """Return whether a path leads to a visible regular file.

    Unlike `Path.is_file`, never raise.
    """
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: str | Path) -> bool:
    """Return whether a path leads to a visible folder.

    Unlike `Path.is_dir`, never raise.
    """
    return os.path.isdir(path)  # noqa: PTH112


def is_read_only(path: str | Path) -> bool:
    """Return whether the file system refuses to open a file for writing.

    `os.access` and the mount's flags do not show a file system that the kernel made
    read-only after an error.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EROFS
    return False


def is_missing(path: str | Path) -> bool:
    """Return whether a path certainly leads to nothing.

    Return False if that cannot be known, for instance without permission.
    """
    try:
        os.stat(path)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def require_visible(folder: str | Path) -> None:
    """Raise OSError if a folder cannot be listed. A missing folder is no error."""
    if not is_missing(folder):
        os.scandir(folder).close()


def real_path(path: str | Path) -> str:
    """Return a path with all links resolved, or the path itself if that fails.

    `os.path.realpath` raises if a link changes during the call, and for a relative path
    in a deleted folder.
    """
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return os.fspath(path)
