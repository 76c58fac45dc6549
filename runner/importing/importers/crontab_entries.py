"""Split the entries of a crontab into columns. Pure.

Nothing in an entry says whether it has a column for the user: a system crontab has one,
a user's own crontab does not. So this module also recognises the wrong choice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from runner.importing.importers.crontab_commands import PROGRAMS, runs_another

Homes = Callable[[str | None], str | None]
"""Return a user's home folder, or None for an unknown user.

The user None is the one who runs the import.
"""

_BLANKS = re.compile(r"[ \t]+")
_USERS = frozenset(
    ["root", "daemon", "www-data", "nobody", "postgres", "mysql", "apache", "nginx", "ubuntu"]
)
"""Users that system crontabs often name, and that are unlikely names of programs."""
# A user's name as useradd(8) accepts it.
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}\$?")
_BEGIN = re.compile(r"/(\S*/)?s?bin/\S+|/\S+\.(sh|py|pl|php|rb)$")
"""The beginning of a command that is unlikely to be an argument."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of an entry. `is_quiet` means that it begins with a `-`."""

    time: str
    user: str | None
    command: str
    is_quiet: bool


def columns_of(line: str, *, has_users: bool) -> Columns | None:
    """Split an entry into its columns; return None if it lacks one."""
    is_quiet = line.startswith("-")
    line = line.removeprefix("-")
    width = 1 if line.startswith("@") else 5
    parts = _BLANKS.split(line, maxsplit=width + has_users)
    if len(parts) <= width + has_users or not re.match(r"[@*\d]", line):
        return None
    return Columns(
        time=" ".join(parts[:width]),
        user=parts[width] if has_users else None,
        command=parts[-1],
        is_quiet=is_quiet,
    )


def begins_with_user(command: str, homes: Homes) -> bool:
    """Return whether a command seems to begin with a user that a command follows."""
    first, _, rest = command.replace("\t", " ").partition(" ")
    begin = rest.split(maxsplit=1)[0] if rest.strip() else ""
    if first in _USERS:
        return True
    if not _USER.fullmatch(first) or runs_another(first) or first in PROGRAMS:
        return False
    is_known = homes(first) is not None
    return _BEGIN.match(begin) is not None or (
        is_known and (begin.startswith("/") or runs_another(begin))
    )


def is_program(user: str, command: str, homes: Homes) -> bool:
    """Return whether the word in the user's place seems to be a program.

    The command is then that program's arguments.
    """
    if homes(user) is not None:
        return False
    return (
        not _USER.fullmatch(user)
        or runs_another(user)
        or user in PROGRAMS
        or command.startswith("-")
    )
