"""What every user of the machine may write. Asks the file system."""

from __future__ import annotations

import os
import stat


def may_anybody_write(path: str, status: os.stat_result) -> bool:
    """Tell whether every user of the machine may change what is at `path`, or add to it if it is a folder.

    A sticky folder is no better: only removing is restricted there. On a file system that is mounted to be read, as
    Kubernetes mounts the folders (mode 0777) of a ConfigMap, nobody may.
    """
    return bool(status.st_mode & stat.S_IWOTH) and not os.statvfs(path).f_flag & os.ST_RDONLY
