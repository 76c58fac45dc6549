"""Words for an operating-system error that nothing else handled: the path, the failure,
and a way out.
"""

from __future__ import annotations

import errno
import os
import shlex

_WAYS_OUT = {
    errno.EACCES: "run this as a user with the permission, or change it (chmod, chown)",
    errno.EPERM: "run this as a user with the permission, or change it (chmod, chown)",
    errno.EROFS: "it is on a file system that is mounted read-only",
    errno.EIO: "the disk or the mount is failing; see the system's log",
    errno.ESTALE: "the file server no longer knows this file (stale handle); mount it again",
    errno.ENOTCONN: "the mount is disconnected; mount it again",
    errno.ELOOP: "its symbolic links form a cycle",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "your quota of disk space is used up; make room",
    errno.EMFILE: "too many files are open; raise ulimit -n",
    errno.ENFILE: "too many files are open on this system; raise fs.file-max",
    errno.ENOMEM: "there is not enough memory",
    errno.EAGAIN: "the system allows no further process or thread; raise ulimit -u",
}


def os_error_text(error: OSError) -> str:
    """Return an error as a sentence, with a way out where one is known.

    >>> os_error_text(OSError(errno.ENOSPC, "No space left on device", "/srv/state"))
    '/srv/state: no space left on device; the disk is full; make room'
    """
    if isinstance(error, FileNotFoundError) and _is_working_folder_gone():
        return "the current folder has been removed; change to another one (cd)"
    what = (error.strerror or str(error) or type(error).__name__).lower()
    path = _path_text(error.filename)
    way_out = _WAYS_OUT.get(error.errno or 0)
    return f"{path}{what}{f'; {way_out}' if way_out else ''}"


def _path_text(name: object) -> str:
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    if not isinstance(name, str | os.PathLike):
        return ""
    text = os.fspath(name)
    return f"{text if text.isprintable() else shlex.quote(ascii(text))}: "


def _is_working_folder_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        return True
    return False
