"""Notices mounts below a jobs folder, which cause no inotify event. Reads /proc."""

from __future__ import annotations

import os
import re
import select
from collections.abc import Iterable
from itertools import islice

from runner.system.regular_files import Signature, is_folder, signature_of

_MOUNTINFO = "/proc/self/mountinfo"
_LARGEST_MOUNTINFO = 4 << 20  # bytes
_MOST_FILES = 1_000  # mounted files whose signature is compared
_ESCAPED = re.compile(r"\\([0-7]{3})")


class MountTable:
    """The mount points of this process.

    The kernel reports a change of the table as POLLPRI (proc(5)). Only then is the table
    read again.
    """

    def __init__(self) -> None:
        self._points: tuple[str, ...] = ()
        self._poll = select.poll()
        try:
            self._file: int | None = os.open(_MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # not Linux: mounts stay unknown
            self._file = None
            return
        self._poll.register(self._file, select.POLLPRI)
        self._read(self._file)

    def within(self, folder: str) -> frozenset[str]:
        """Return the mount points below a folder, given by its real path.

        A single file may be a mount point, too (a bind mount).
        """
        if self._file is not None and self._poll.poll(0):
            self._read(self._file)
        inside = f"{folder.rstrip('/')}/"
        return frozenset(point for point in self._points if point.startswith(inside))

    def close(self) -> None:
        """Close the table."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _read(self, file: int) -> None:
        os.lseek(file, 0, os.SEEK_SET)
        text, left = b"", _LARGEST_MOUNTINFO
        while left > 0 and (part := os.read(file, left)):
            text, left = text + part, left - len(part)
        lines = os.fsdecode(text).splitlines()
        self._points = tuple(
            _unescaped(line.split(" ", 5)[4]) for line in lines if line.count(" ") > 5
        )


def signatures_of_files(mounts: Iterable[str]) -> dict[str, Signature | None]:
    """Return the signatures of the mount points that are files; None for a missing one.

    Mounted folders need none: inotify watches them like the other folders.
    """
    files = (point for point in sorted(mounts) if not is_folder(point))
    return {point: _signature_at(point) for point in islice(files, _MOST_FILES)}


def _signature_at(path: str) -> Signature | None:
    try:
        return signature_of(os.stat(path))  # noqa: PTH116
    except OSError:
        return None


def _unescaped(path: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), path)
