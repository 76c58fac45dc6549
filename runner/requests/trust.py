"""Who may change what the runner reads. Asks the file system and the databases of users and groups."""

from __future__ import annotations

import grp
import pwd


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
