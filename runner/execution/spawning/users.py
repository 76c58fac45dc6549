"""Resolves the user that a process runs as (`run_as`).

Reads the user and group databases, and this process's own rights. Where a network
service supplies those databases (NSS), a lookup may hang.
"""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner.execution.child.program import SpawnError
from runner.requests.model import RunAs

_KEPT = ("LANG", "TZ")
_PATH = "/usr/local/bin:/usr/bin:/bin"
_MOST_GROUPS = 65536  # NGROUPS_MAX of Linux
_CAP_SETGID, _CAP_SETUID = 6, 7  # capability.h


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A resolved user.

    `login_variables` are those that a login sets: HOME, USER, LOGNAME, SHELL and PATH.
    """

    uid: int
    gid: int
    groups: tuple[int, ...]
    login_variables: dict[str, str]

    @property
    def is_ours(self) -> bool:
        """Whether this process already has these ids, real and effective."""
        return (os.getuid(), os.getgid()) == (self.uid, self.gid) == (os.geteuid(), os.getegid())


def resolve(run_as: RunAs) -> Identity:
    """Look up a user.

    Raises SpawnError if the user does not exist, or if this process may not change to it.
    """
    user, uid = _user(run_as.user)
    if user is None and run_as.group is None:
        raise SpawnError(
            f"run_as: user {run_as.user} has no passwd entry, so its group is unknown;"
            " set run_as.group"
        )
    gid = _gid(run_as.group) if run_as.group is not None else user.pw_gid if user else -1
    identity = Identity(
        uid=uid,
        gid=gid,
        groups=_groups(user.pw_name, gid) if user else (gid,),
        login_variables=_login_variables(run_as.user, user),
    )
    if not identity.is_ours and not _may_change():
        raise SpawnError(
            f"run_as: this runner is user id {os.geteuid()} and may not become {run_as.user!r}"
            f"{f' with group {run_as.group!r}' if run_as.group else ''};"
            " only a runner started as root may"
        )
    return identity


def login_like(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a process under `run_as` inherits: LANG and TZ.

    The others stay with the runner. Its PATH may contain folders of root, and its
    variables may contain secrets of root.
    """
    return {name: inherited[name] for name in _KEPT if name in inherited}


def _user(name: str) -> tuple[pwd.struct_passwd | None, int]:
    with suppress(KeyError, ValueError):
        user = pwd.getpwnam(name)
        return user, user.pw_uid
    number = _number(name)
    if number is None:
        raise SpawnError(f"run_as: there is no user {name!r} on this machine")
    with suppress(KeyError):
        return pwd.getpwuid(number), number
    return None, number


def _gid(name: str) -> int:
    with suppress(KeyError, ValueError):
        return grp.getgrnam(name).gr_gid
    number = _number(name)
    if number is None:
        raise SpawnError(f"run_as: there is no group {name!r} on this machine")
    return number


def _groups(name: str, gid: int) -> tuple[int, ...]:
    """Return the groups of a user. Raises SpawnError for too many.

    `os.getgrouplist` holds the interpreter's lock, so it would block all threads while
    the name service hangs. ctypes releases the lock.
    """
    library, count = ctypes.CDLL(None), ctypes.c_int(_MOST_GROUPS)
    groups = (ctypes.c_uint * _MOST_GROUPS)()
    if library.getgrouplist(os.fsencode(name), ctypes.c_uint(gid), groups, ctypes.byref(count)) < 0:
        raise SpawnError(f"run_as: user {name!r} is in more than {_MOST_GROUPS} groups")
    return tuple(groups[: count.value])


def _number(name: str) -> int | None:
    """Read a numeric id; return None for anything else.

    The highest number of 32 bits is not an id: setresuid(2) reads it as "do not change".
    """
    return int(name) if name.isascii() and name.isdecimal() and int(name[:12]) < 2**32 - 1 else None


def _login_variables(name: str, user: pwd.struct_passwd | None) -> dict[str, str]:
    """Return the variables that login(1) sets; an empty shell is /bin/sh (passwd(5))."""
    if user is None:
        return {"HOME": "/", "USER": name, "LOGNAME": name, "SHELL": "/bin/sh", "PATH": _PATH}
    return {
        "HOME": user.pw_dir or "/",
        "USER": user.pw_name,
        "LOGNAME": user.pw_name,
        "SHELL": user.pw_shell or "/bin/sh",
        "PATH": _PATH if user.pw_uid else f"/usr/local/sbin:/usr/sbin:/sbin:{_PATH}",
    }


def _may_change() -> bool:
    """Return whether this process may change its user and group.

    The capabilities decide, not the uid: root in a container may lack them, and the user
    of a service may have them.
    """
    _, _, rest = Path("/proc/self/status").read_bytes().partition(b"\nCapEff:\t")
    needed = 1 << _CAP_SETGID | 1 << _CAP_SETUID
    return int(rest[:16], 16) & needed == needed
