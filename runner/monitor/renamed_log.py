"""Finds log files that were renamed: one by its inode, others by when they were written.
Reads folders and the beginnings of files.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

_DEPTH = 3
_MOST_ENTRIES = 20_000
"""The search stops after this many entries: a parent such as /tmp may hold millions."""
_NEVER_OPENED = ".sqlite3"
"""Files with this text in their name are never candidates.

This module and its caller open and close what they find. POSIX drops all locks of a
process on a file when the process closes any descriptor of it, so SQLite would lose its
locks.
"""

_BEGINNING = b'{"'


def find_renamed(path: Path, inode: int) -> Path | None:
    """Return the regular file near `path` that has this inode, under any name.

    Search the folder of `path` and its sub-folders, then the folders beside it.
    logrotate's `olddir` must be on the same file system and is usually one of these.
    Return None if no file there has the inode.
    """
    for folder, device in _folders_near(path):
        for entry in _some(_entries(folder, _DEPTH)):
            if entry.inode() == inode and _status_of(entry, device):
                return Path(entry.path)
    return None


def find_later(path: Path, written_ns: int, known: Collection[int]) -> Iterator[Path]:
    """Yield the files near `path` that begin like a log and were written since `written_ns`.

    Leave out the inodes that are `known`.
    """
    seen = set(known)
    for folder, device in _folders_near(path):
        for entry in _some(_entries(folder, _DEPTH)):
            status = _status_of(entry, device)
            if status and status.st_mtime_ns >= written_ns and status.st_ino not in seen:
                seen.add(status.st_ino)
                if _begins_like_a_log(entry.path):
                    yield Path(entry.path)


def _folders_near(path: Path) -> Iterator[tuple[Path, int]]:
    """Yield the folders to search, with the device on which the files must be."""
    with suppress(OSError):
        home = path.resolve().parent
        device = home.stat().st_dev
        for folder in dict.fromkeys((path.parent, home, path.parent.parent, home.parent)):
            yield folder, device


def _some(entries: Iterator[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    return islice(entries, _MOST_ENTRIES)


def _begins_like_a_log(path: str) -> bool:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, len(_BEGINNING), 0) == _BEGINNING
        finally:
            os.close(descriptor)
    return False


def _status_of(entry: os.DirEntry[str], device: int) -> os.stat_result | None:
    """Return the status of a file that may be a former log; None for anything else."""
    if _NEVER_OPENED in entry.name or not entry.is_file(follow_symlinks=False):
        return None
    with suppress(OSError):  # deleted after it was listed
        status = entry.stat(follow_symlinks=False)
        return status if status.st_dev == device else None
    return None


def _entries(folder: Path | str, depth: int) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder, then those of its sub-folders.

    Skip a folder that cannot be read.
    """
    folders = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if depth > 1 and entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            yield entry
    for each in folders:
        yield from _entries(each, depth - 1)
