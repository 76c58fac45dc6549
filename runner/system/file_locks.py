"""Finds the processes that hold locks on a file. Reads /proc; without it, finds none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_LOCKS = Path("/proc/locks")


def flock_holder(inode: int) -> str | None:
    """Return the other program that holds a flock on a file, as "process 123 (runner)".

    `inode` is the file's. Return None if there is none, or if the kernel does not name it.
    """
    found = (pid for kind, pid, _ in locks_on(inode) if kind == "FLOCK" and pid != os.getpid())
    return next(map(process_named, found), None)


def locks_on(inode: int) -> Iterator[tuple[str, int, int]]:
    """Yield kind, pid and first byte of each lock on a file with this inode (proc(5)).

    The device is not compared: it differs from stat(2) on some file systems, such as btrfs.
    """
    try:
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split()
        # A line with "->" is a waiting process. A process of another PID namespace has pid 0.
        if len(words) == 8 and words[5].rpartition(":")[2] == str(inode) and int(words[4]) > 0:
            yield words[1], int(words[4]), int(words[6])


def process_named(pid: int) -> str:
    """Return a process for people, as "process 123 (name)"."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return f"process {pid}"
    return f"process {pid} ({''.join(each if each.isprintable() else '?' for each in name)})"
