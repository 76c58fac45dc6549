"""Finds the programs that keep an old state of a store open. Reads /proc."""

from __future__ import annotations

import os

from runner.system.file_locks import locks_on, process_named

_FIRST_READ_MARK, _LAST_READ_MARK = 123, 127
"""The bytes of the WAL index that a reader locks while it reads an old state
(sqlite.org/walformat.html).
"""


def readers_of(inode: int) -> list[str]:
    """Return the other programs that read a store, as "process 123 (sqlite3)".

    `inode` is that of the store's WAL index.
    """
    found = (
        pid
        for kind, pid, first in locks_on(inode)
        if kind == "POSIX" and _FIRST_READ_MARK <= first <= _LAST_READ_MARK and pid != os.getpid()
    )
    return [process_named(pid) for pid in dict.fromkeys(found)]
