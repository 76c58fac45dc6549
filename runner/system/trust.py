"""Who else may change what a runner reads and writes: whose word a runner that is root
must not take.

There is one rule, for everything that root reads as a request, a setting, an
environment, dates, its state or its log, and for everything that it writes: no other
user may change it. That concerns its owner and mode, those of each folder on the way to
it, and the owner of each link. A sticky folder (/tmp) may be open, for there only the
owner of a thing can replace it. `Trust.objection` is the rule; refusals and `doctor`
use it alike.

A runner that is not root may be changed by others as its user likes; `doctor` tells of it.

Asks the file system and the databases of users and groups.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import shlex
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path

from runner.system.regular_files import read_regular
from runner.values import neutral

_MOST_LINKS = 40  # as the kernel: MAXSYMLINKS
_ACL, _ACL_USER, _ACL_GROUP, _ACL_WRITE = "system.posix_acl_access", 0x02, 0x08, 0x02
"""acl(5), and the kernel's posix_acl_xattr.h."""
_SHORT = 4096


class Grade(IntEnum):
    """How many others there are, the fewest first."""

    OWNER = 1
    GROUP = 2
    ANYBODY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a thing is not trusted: `path` is what has to be changed, on the way to it or itself."""

    path: str
    grade: Grade
    who: str
    is_link: bool = False

    @property
    def reason(self) -> str:
        """What is wrong, as a clause."""
        path = neutral(self.path)
        if self.grade is Grade.OWNER:
            return (
                f"{path} is a link of {self.who}"
                if self.is_link
                else f"{path} belongs to {self.who}"
            )
        return f"{self.who} may write {path}"

    @property
    def suggestion(self) -> str:
        """The command that changes it."""
        path = shlex.quote(neutral(self.path))
        match self.grade:
            case Grade.OWNER:
                return f"chown {'-h ' if self.is_link else ''}root {path}"
            case Grade.GROUP:
                return f"chmod g-w {path}"
            case Grade.ANYBODY:
                return f"chmod o-w {path}"


class UntrustedError(PermissionError):
    """Root does not use a file or folder, because another user may change it."""

    def __init__(self, path: str | Path, objection: Objection) -> None:
        super().__init__(errno.EPERM, f"root does not use it: {objection.reason}", os.fspath(path))
        self.objection = objection


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The users and groups that may change things."""

    users: frozenset[int]
    groups: frozenset[int]

    def objection(self, path: str | Path, *, is_strict: bool = False) -> Objection | None:
        """Return why what is at a path is not trusted, or what is on the way to it, links included.

        None if all is trusted, as far as it is there; what is not there yet is for its
        folder to keep. A folder on the way that a group may write counts only if
        `is_strict`: /var/log is one on many a system.
        """
        return self._walked(path, is_strict=is_strict)[1]

    def vetted(self, path: str | Path) -> str:
        """Return the real path of a trusted file or folder, to be opened without following a link.

        Raises UntrustedError.
        """
        real, objection = self._walked(path, is_strict=False)
        if objection is not None:
            raise UntrustedError(path, objection)
        return real

    def own_objection(
        self, path: str, status: os.stat_result, *, is_on_way: bool = False
    ) -> Objection | None:
        """Return why a thing is not trusted by itself; of one `is_on_way` it is enough
        that it is sticky.
        """
        found = self._by_status(path, status, is_on_way=is_on_way)
        return None if found is None or _is_read_only(path) else found

    def _by_status(self, path: str, status: os.stat_result, *, is_on_way: bool) -> Objection | None:
        if status.st_uid not in self.users | _outsider():
            is_link = stat.S_ISLNK(status.st_mode)
            return Objection(
                path=path, grade=Grade.OWNER, who=user_name(status.st_uid), is_link=is_link
            )
        if stat.S_ISLNK(status.st_mode) or (is_on_way and status.st_mode & stat.S_ISVTX):
            return None
        if status.st_mode & stat.S_IWOTH:
            return Objection(path=path, grade=Grade.ANYBODY, who="anybody")
        if status.st_mode & stat.S_IWGRP:
            return self._by_group(path, status.st_gid)
        return None

    def _by_group(self, path: str, gid: int) -> Objection | None:
        if gid not in self.groups | _outsider():
            return Objection(path=path, grade=Grade.GROUP, who=f"the group {group_name(gid)}")
        named = next(
            self._others_in_acl(path), None
        )  # where there is a list, the group's bits are its mask
        return None if named is None else Objection(path=path, grade=Grade.GROUP, who=named)

    def _others_in_acl(self, path: str) -> Iterator[str]:
        try:
            packed = os.getxattr(path, _ACL)[4:]
        except OSError:  # there is no list
            return
        for tag, permissions, number in struct.iter_unpack("<HHI", packed[: len(packed) // 8 * 8]):
            if permissions & _ACL_WRITE and tag == _ACL_USER and number not in self.users:
                yield f"{user_name(number)} (by an access control list)"
            if permissions & _ACL_WRITE and tag == _ACL_GROUP and number not in self.groups:
                yield f"the group {group_name(number)} (by an access control list)"

    def _walked(self, path: str | Path, *, is_strict: bool) -> tuple[str, Objection | None]:
        """Follow a path from the root of the file system; return where it leads to, and
        the first objection.
        """
        place, links = "/", 0
        ahead: list[str] = []
        try:
            whole = os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH118  (not abspath: it takes "link/.." for ".")
            ahead = [part for part in reversed(whole.split("/")) if part not in ("", ".")]
            while True:
                status = os.lstat(place)
                is_link = stat.S_ISLNK(status.st_mode)
                found = self.own_objection(place, status, is_on_way=bool(ahead))
                if found and (is_strict or not ahead or found.grade is not Grade.GROUP):
                    return place, found
                if is_link:
                    links += 1
                    target = os.readlink(place)  # noqa: PTH115
                    if links > _MOST_LINKS:
                        return place, None
                    ahead += [part for part in reversed(target.split("/")) if part not in ("", ".")]
                    place = "/" if target.startswith("/") else os.path.dirname(place)  # noqa: PTH120
                if not ahead:
                    return place, None
                part = ahead.pop()
                place = os.path.dirname(place) if part == ".." else os.path.join(place, part)  # noqa: PTH118, PTH120
        except (
            OSError,
            ValueError,
        ):  # it is not there, or cannot be looked at: whoever opens it is told
            return os.path.join(place, *reversed(ahead)), None  # noqa: PTH118


ROOT = Trust(users=frozenset({0}), groups=frozenset({0}))


def own_trust() -> Trust | None:
    """Return the rule that this program keeps: root's if it is root, else none."""
    return ROOT if os.geteuid() == 0 else None


def user_name(uid: int) -> str:
    """Return a user's name by the passwd database, or `uid 1234` for one without an entry."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def group_name(gid: int) -> str:
    """Return a group's name, or `gid 1234` for one without an entry."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid {gid}"


def _is_read_only(path: str) -> bool:
    """Tell whether nobody may write there after all: Kubernetes mounts the 0777 folders
    of a ConfigMap so.
    """
    try:
        return bool(
            os.statvfs(os.path.dirname(path) if os.path.islink(path) else path).f_flag  # noqa: PTH114, PTH120
            & os.ST_RDONLY
        )
    except OSError:
        return False


@cache
def _outsider() -> frozenset[int]:
    """Return the id by which a user namespace shows all that it does not map: who made
    it has no more rights here.

    That is empty where the namespace maps so many that the id may be somebody's, as the
    first one maps all.
    """
    try:
        overflow = int(read_regular("/proc/sys/kernel/overflowuid", at_most=_SHORT))
        lines = read_regular("/proc/self/uid_map", at_most=_SHORT).splitlines()
        ranges = [(int(begin), int(count)) for begin, _, count in map(bytes.split, lines)]
    except (OSError, ValueError):
        return frozenset()
    is_mapped = any(begin <= overflow < begin + count for begin, count in ranges)
    return frozenset() if is_mapped else frozenset({overflow})
