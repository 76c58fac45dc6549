"""The type of the file system that a path is on. Reads /proc."""

from __future__ import annotations

import os
from pathlib import Path

REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "vboxsf", "ceph", "lustre", "afs"}
)
"""File systems on another machine: no notifications, and no shared memory."""


MOUNTS = Path("/proc/self/mountinfo")


def file_system_of(path: Path, mountinfo: str) -> str:
    """Return the type of a path's file system, or "" if unknown (proc(5), mountinfo).

    `mountinfo` is the text of `MOUNTS`. Raises OSError.
    """
    device = path.stat().st_dev  # mountinfo's third field is this, as MAJOR:MINOR
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mountinfo.splitlines():
        if line.split(" ", 3)[2] == number:
            return line.partition(" - ")[2].partition(" ")[0]
    return ""
