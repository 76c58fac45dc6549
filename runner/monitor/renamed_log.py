"""Finds a log file that was renamed, by its inode. Reads folders; opens no file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_DEPTH = 3
_MOST_ENTRIES = 20_000
"""The search stops after this many entries: a parent such as /tmp may hold millions."""
_NEVER_OPENED = ".sqlite3"
"""Files with this text in their name are never candidates.

The caller opens and closes what it finds. POSIX drops all locks of a process on a file
when the process closes any descriptor of it, so SQLite would lose its locks.
"""


def find_renamed(path: Path, inode: int) -> Path | None:
    """Return the regular file near `path` that has this inode, under any name.

    Search the folder of `path` and its sub-folders, then the folders beside it.
    logrotate's `olddir` must be on the same file system and is usually one of these.
    Return None if no file there has the inode.
    """
    with suppress(OSError):
        home = path.resolve().parent
        device = home.stat().st_dev
        for folder in dict.fromkeys((path.parent, home, path.parent.parent, home.parent)):
            entries = _entries(folder, _DEPTH)
            for _, entry in zip(range(_MOST_ENTRIES), entries, strict=False):
                if entry.inode() == inode and _is_log(entry, device):
                    return Path(entry.path)
    return None


def _is_log(entry: os.DirEntry[str], device: int) -> bool:
    if _NEVER_OPENED in entry.name or not entry.is_file(follow_symlinks=False):
        return False
    with suppress(OSError):  # deleted after it was listed
        return entry.stat(follow_symlinks=False).st_dev == device
    return False


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
