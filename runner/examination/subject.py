"""The runner under examination: its places, and the user that it runs as. Touches files."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from runner.errors import StoreError
from runner.requests.catalog.listing import Listing, listed
from runner.requests.catalog.reader import exhausted
from runner.store.sqlite.lock import lock_path, owner_pid
from runner.system.regular_files import is_folder
from runner.system.trust import ROOT, Trust


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A runner, alive or not. `zone` is an unchecked IANA key; `max_running` None means
    no limit.
    """

    jobs: Path
    state: Path
    monitor_log: Path
    zone: str
    max_running: int | None = None
    logrotate: Path = Path("/etc/logrotate.d")

    @cached_property
    def pid(self) -> int | None:
        """The process id of the live runner; None if there is none, or if that cannot
        be determined.
        """
        with suppress(StoreError, OSError):
            return owner_pid(self.state) if lock_path(self.state).is_file() else None
        return None

    @cached_property
    def listing(self) -> Listing | None:
        """The files of the jobs folder; None if it is missing or unreadable."""
        found = exhausted(listed(self.jobs, {})) if is_folder(self.jobs) else None
        return found if isinstance(found, Listing) else None

    @cached_property
    def user(self) -> int:
        """The id of the user that the runner runs as: the owner of the state folder,
        else the current user.
        """
        with suppress(OSError):
            return self.state.stat().st_uid
        return os.geteuid()

    @property
    def trust(self) -> Trust:
        """The users and groups that the runner's user trusts: itself, its groups, and root."""
        return (
            ROOT
            if self.user == 0
            else Trust(users=frozenset({0, self.user}), groups=frozenset({0}) | self.groups)
        )

    @cached_property
    def groups(self) -> frozenset[int]:
        """The groups of the runner's user; empty if the user is unknown."""
        if self.user == os.geteuid():
            return frozenset({os.getegid(), *os.getgroups()})
        with suppress(KeyError):
            entry = pwd.getpwuid(self.user)
            return frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))
        return frozenset()
