"""Opening and reading files that may be anything: no FIFO blocks, no device is touched,
no size exhausts memory.

Every read of a file that the runner did not write itself goes through here. Touches files.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from pathlib import Path

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_CHUNK = 1 << 20
_WRITER_PATIENCE_MS = 2_000
_KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
}  # fmt: skip

Signature = tuple[int, int, int, int, int]
"""What changes when a file does: device, inode, size, and the nanoseconds of content
and status changes.
"""


class NotRegularError(OSError):
    """The path leads to something that is not a regular file; the text says what it is."""

    def __init__(self, path: str | Path, status: os.stat_result) -> None:
        super().__init__(errno.EINVAL, f"it is {kind_of(status)}, not a file", str(path))


class TooLargeError(OSError):
    """The file has more bytes than its reader takes."""

    def __init__(self, path: str | Path, at_most: int) -> None:
        super().__init__(errno.EFBIG, f"it is larger than {size_text(at_most)}", str(path))


def kind_of(status: os.stat_result) -> str:
    """Return what a path leads to, in words."""
    return _KINDS.get(stat.S_IFMT(status.st_mode), "something else")


def size_text(size: int) -> str:
    """Return a whole number of MiB, KiB or bytes in words.

    >>> [size_text(size) for size in (1 << 20, 64 << 10, 100)]
    ['1 MiB', '64 KiB', '100 bytes']
    """
    for shift, unit in ((20, "MiB"), (10, "KiB")):
        if size and not size % (1 << shift):
            return f"{size >> shift} {unit}"
    return f"{size} bytes"


def signature_of(status: os.stat_result) -> Signature:
    """Return the signature in a stat."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def open_regular(path: str | Path) -> int:
    """Open a regular file for reading and return its descriptor.

    Raises NotRegularError for anything else, OSError, and ValueError for a path that
    contains a NUL.
    """
    # Opening a device can start something (a tape, a watchdog), so look before; and
    # after, for it may be another now.
    _require_regular(path, os.stat(path))  # noqa: PTH116 (a Path for each of 10,000 files takes longer than the stat)
    descriptor = os.open(path, _FLAGS)
    try:
        _require_regular(path, os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_regular(path: str | Path, *, at_most: int) -> bytes:
    """Return the bytes of a regular file. Files of /proc, whose size is unknown, are
    read to their end.

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
    """Return the bytes of a file that a person names on the command line: here a pipe
    is fine, as from `<(crontab -l)`.

    Raises NotRegularError for any other kind and for a pipe that nobody writes to,
    TooLargeError, OSError, ValueError.
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
    """Return what can be read of a pipe at once; None if nobody has it open for
    writing, and nobody comes.
    """
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
    """Tell whether a path leads to something that can be seen. Unlike `Path.exists` it
    never raises.
    """
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: str | Path) -> bool:
    """Tell whether a path leads to a regular file that can be seen. Unlike
    `Path.is_file` it never raises.
    """
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: str | Path) -> bool:
    """Tell whether a path leads to a folder that can be seen. Unlike `Path.is_dir` it never raises."""
    return os.path.isdir(path)  # noqa: PTH112


def is_missing(path: str | Path) -> bool:
    """Tell whether there is certainly nothing at a path; not so where it cannot be seen."""
    try:
        os.stat(path)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def require_visible(folder: str | Path) -> None:
    """Raise the OSError that keeps a folder from being read, unless it is certainly not there."""
    if not is_missing(folder):
        os.scandir(folder).close()


def real_path(path: str | Path) -> str:
    """Return a path without links, as far as they can be followed.

    `os.path.realpath` raises where a link changes while it looks, and for a relative
    path in a folder that is gone.
    """
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return os.fspath(path)
