"""Where a log file is now that was renamed away from its place. Reads folders; opens no file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_DEPTH = 3
_MOST_ENTRIES = 20_000
"""A search ends here: a parent such as /tmp may hold anything."""
_NEVER_OPENED = ".sqlite3"
"""Closing a database's file would drop the locks that SQLite holds on it in this process."""


def moved_to(path: Path, inode: int) -> Path | None:
    """Return the regular file with this inode near the place `path`, whatever its
    folder and name are.

    Looks in the folder of `path` and below it, then in the folders beside it:
    logrotate's `olddir` must be on the same file system, and is usually one of these.
    None if the file is not found there.
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
    with suppress(OSError):  # deleted since it was listed
        return entry.stat(follow_symlinks=False).st_dev == device
    return False


def _entries(folder: Path | str, depth: int) -> Iterator[os.DirEntry[str]]:
    """Yield what is in a folder, then what is in its sub-folders; a folder that cannot
    be read is left out.
    """
    folders = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if depth > 1 and entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            yield entry
    for each in folders:
        yield from _entries(each, depth - 1)
