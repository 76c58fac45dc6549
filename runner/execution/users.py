"""The user that a process runs as. Reads the databases of users and groups, and this
process's own rights.

Where those databases are served by the network (NSS), a look into them may wait for it for ever.
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
    """A user resolved. `told` are the variables of a login: HOME, USER, LOGNAME, SHELL and PATH."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    told: dict[str, str]

    @property
    def is_ours(self) -> bool:
        """Whether that is what we are ourselves."""
        return (os.getuid(), os.getgid()) == (self.uid, self.gid) == (os.geteuid(), os.getegid())


def resolve(run_as: RunAs) -> Identity:
    """Look a user up. Raises SpawnError if there is none, or if we have no right to
    become that one.
    """
    user, uid = _user(run_as.user)
    if user is None and run_as.group is None:
        raise SpawnError(
            f"run_as: user {run_as.user} has no entry, and so no group; say which: run_as.group"
        )
    gid = _gid(run_as.group) if run_as.group is not None else user.pw_gid if user else -1
    identity = Identity(
        uid=uid,
        gid=gid,
        groups=_groups(user.pw_name, gid) if user else (gid,),
        told=_told(run_as.user, user),
    )
    if not identity.is_ours and not _may_change():
        raise SpawnError(
            f"run_as: this runner is user id {os.geteuid()} and may not become {run_as.user!r}"
            f"{f' with group {run_as.group!r}' if run_as.group else ''}; only a runner started as root may"
        )
    return identity


def login_like(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return what a process under `run_as` has of the runner's environment: language and time zone.

    The rest is the runner's: its PATH may hold folders of root's, and its variables root's secrets.
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
    """Return the groups of a user; `os.getgrouplist` would hold up all threads while
    the name service hangs.
    """
    library, count = ctypes.CDLL(None), ctypes.c_int(_MOST_GROUPS)
    groups = (ctypes.c_uint * _MOST_GROUPS)()
    if library.getgrouplist(os.fsencode(name), ctypes.c_uint(gid), groups, ctypes.byref(count)) < 0:
        raise SpawnError(f"run_as: user {name!r} is in more than {_MOST_GROUPS} groups")
    return tuple(groups[: count.value])


def _number(name: str) -> int | None:
    """Read an id; the highest one of 32 bits means "leave it" to the system, and is none."""
    return int(name) if name.isascii() and name.isdecimal() and int(name[:12]) < 2**32 - 1 else None


def _told(name: str, user: pwd.struct_passwd | None) -> dict[str, str]:
    """Return the variables that login(1) sets; passwd(5): an empty shell means /bin/sh."""
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
    """Tell whether we may take on another user and group: root in a container may not,
    a service's user may.
    """
    _, _, rest = Path("/proc/self/status").read_bytes().partition(b"\nCapEff:\t")
    needed = 1 << _CAP_SETGID | 1 << _CAP_SETUID
    return int(rest[:16], 16) & needed == needed
