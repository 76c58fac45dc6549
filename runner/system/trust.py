"""Checks which other users may change the files that a root runner reads and writes.

One rule holds for everything on which root acts (requests, settings, environment files,
date files, state, log) and for everything that it writes: no other user may change it.
Commands that only look are exempt: they also show the runner of another user.
The rule covers the owner and mode of the file, those of each folder on the way to it, and
the owner of each link. A sticky folder (/tmp) may be world-writable, because only the
owner of a file there can replace it. `Trust.objection` implements the rule; both the
refusals and `doctor` use it.

A runner that is not root accepts everything; `doctor` reports what others may change.

Reads the file system, and the user and group databases.
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

_MOST_LINKS = 40  # MAXSYMLINKS of the kernel
# From acl(5), and the kernel's posix_acl_xattr.h.
_ACL, _ACL_USER, _ACL_GROUP, _ACL_WRITE = "system.posix_acl_access", 0x02, 0x08, 0x02
_SHORT = 4096  # bytes


class Grade(IntEnum):
    """Who else may change a file, the fewest users first."""

    OWNER = 1
    GROUP = 2
    OTHERS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a file is not trusted. `path` is where the rights must change.

    `owner` is the id of another user to whom the path belongs, None if only its mode is
    wrong.
    """

    path: str
    grade: Grade
    who: str
    owner: int | None = None
    is_link: bool = False
    is_folder: bool = False

    @property
    def reason(self) -> str:
        """What is wrong, as a clause for a message."""
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
        """The shell command that fixes it."""
        return f"{self.change} {shlex.quote(neutral(self.path))}"

    @property
    def change(self) -> str:
        """The shell command that fixes it, without its path."""
        match self.grade:
            case Grade.OWNER:
                return "chown -h root" if self.is_link else "chown root"
            case Grade.GROUP:
                return "chmod g-w"
            case Grade.OTHERS:
                return "chmod o-w"

    @property
    def way_out(self) -> str:
        """What to do when root refuses a command because of this path.

        A whole folder of another user is that user's runner: root leaves it as it is.
        """
        if self.owner is None or not self.is_folder:
            return self.suggestion
        return f"run the command as that user: {as_user(self.owner, 'runner …')}"


class UntrustedError(PermissionError):
    """Root refuses a file or folder because another user may change it."""

    def __init__(self, path: str | Path, objection: Objection) -> None:
        super().__init__(errno.EPERM, f"root does not use it: {objection.reason}", os.fspath(path))
        self.objection = objection


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The users and groups that may change a file."""

    users: frozenset[int]
    groups: frozenset[int]

    def objection(self, path: str | Path, *, is_strict: bool = False) -> Objection | None:
        """Return why a path is not trusted, including all folders and links on the way.

        Return None if everything is trusted. A missing file is trusted if its folder is.
        A group-writable folder on the way counts only if `is_strict`: /var/log is one on
        many systems.
        """
        return self._walked(path, is_strict=is_strict)[1]

    def vetted(self, path: str | Path) -> str:
        """Return the real path of a trusted file or folder. Raises UntrustedError.

        Open it with O_NOFOLLOW: then a link created since the check is not followed.
        """
        real, objection = self._walked(path, is_strict=False)
        if objection is not None:
            raise UntrustedError(path, objection)
        return real

    def own_objection(
        self, path: str, status: os.stat_result, *, is_on_way: bool = False
    ) -> Objection | None:
        """Return why a single file or folder is not trusted, without those on the way.

        `is_on_way` marks a folder on the way to another file: a sticky one is trusted.
        """
        found = self._by_status(path, status, is_on_way=is_on_way)
        return None if found is None or _is_read_only(path) else found

    def _by_status(self, path: str, status: os.stat_result, *, is_on_way: bool) -> Objection | None:
        if status.st_uid not in self.users | _outsider():
            return Objection(
                path=path,
                grade=Grade.OWNER,
                who=user_name(status.st_uid),
                owner=status.st_uid,
                is_link=stat.S_ISLNK(status.st_mode),
                is_folder=stat.S_ISDIR(status.st_mode),
            )
        if stat.S_ISLNK(status.st_mode) or (is_on_way and status.st_mode & stat.S_ISVTX):
            return None
        if status.st_mode & stat.S_IWOTH:
            return Objection(path=path, grade=Grade.OTHERS, who="everyone")
        if status.st_mode & stat.S_IWGRP:
            return self._by_group(path, status.st_gid)
        return None

    def _by_group(self, path: str, gid: int) -> Objection | None:
        if gid not in self.groups | _outsider():
            return Objection(path=path, grade=Grade.GROUP, who=f"the group {group_name(gid)}")
        # With an access control list, the mode's group bits are the mask of the list. They
        # then say nothing about the group, so ask the list (acl(5)).
        named = next(self._others_in_acl(path), None)
        return None if named is None else Objection(path=path, grade=Grade.GROUP, who=named)

    def _others_in_acl(self, path: str) -> Iterator[str]:
        try:
            packed = os.getxattr(path, _ACL)[4:]
        except OSError:  # no list, or a file system without lists
            return
        for tag, permissions, number in struct.iter_unpack("<HHI", packed[: len(packed) // 8 * 8]):
            if permissions & _ACL_WRITE and tag == _ACL_USER and number not in self.users:
                yield f"{user_name(number)} (by an access control list)"
            if permissions & _ACL_WRITE and tag == _ACL_GROUP and number not in self.groups:
                yield f"the group {group_name(number)} (by an access control list)"

    def _walked(self, path: str | Path, *, is_strict: bool) -> tuple[str, Objection | None]:
        """Follow a path from the root folder; return its end and the first objection.

        One component at a time, because each folder and each link on the way needs a check
        of its own; `realpath` would skip them.
        """
        place, links = "/", 0
        ahead: list[str] = []  # the components still to follow, the next one last
        try:
            # Not abspath: it would shorten "link/.." to ".", which is another folder.
            whole = os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH118
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
        except (OSError, ValueError):
            # Missing or invisible. Opening the file will raise the proper error.
            return os.path.join(place, *reversed(ahead)), None  # noqa: PTH118


ROOT = Trust(users=frozenset({0}), groups=frozenset({0}))


def own_trust() -> Trust | None:
    """Return the rule for this process: `ROOT` as root, otherwise None."""
    return ROOT if os.geteuid() == 0 else None


def user_name(uid: int) -> str:
    """Return a user's name, or `uid 1234` for a user without an entry."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def as_user(uid: int, command: str) -> str:
    """Return the shell command that runs `command` as a user (see sudo(8) for `#uid`)."""
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = f"#{uid}"
    return f"sudo -u {shlex.quote(user)} {command}"


def group_name(gid: int) -> str:
    """Return a group's name, or `gid 1234` for a group without an entry."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid {gid}"


def _is_read_only(path: str) -> bool:
    """Return whether a path is on a read-only mount, where its mode does not matter.

    Kubernetes mounts a ConfigMap in this way: its folders have mode 0777.
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
    """Return the overflow id if this user namespace shows unmapped users by it.

    In a user namespace, files of users outside it appear to belong to the overflow id
    (usually 65534). Such a user can change them only from outside, where it has more
    rights than the runner anyway. The set is empty if the namespace maps the overflow id
    itself, because the id may then be a real user; the initial namespace maps all ids.
    """
    try:
        overflow = int(read_regular("/proc/sys/kernel/overflowuid", at_most=_SHORT))
        lines = read_regular("/proc/self/uid_map", at_most=_SHORT).splitlines()
        ranges = [(int(begin), int(count)) for begin, _, count in map(bytes.split, lines)]
    except (OSError, ValueError):
        return frozenset()
    is_mapped = any(begin <= overflow < begin + count for begin, count in ranges)
    return frozenset() if is_mapped else frozenset({overflow})
