"""Whom an examination is about: the places of a runner, and the user that it is, or
would be. Touches files.
"""

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
from runner.store.lock import lock_path, owner_pid
from runner.system.regular_files import is_folder
from runner.system.trust import ROOT, Trust


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A runner, alive or not. `zone` is an IANA key that nobody has checked;
    `max_running` None is no bound.
    """

    jobs: Path
    state: Path
    monitor_log: Path
    zone: str
    max_running: int | None = None
    logrotate: Path = Path("/etc/logrotate.d")

    @cached_property
    def pid(self) -> int | None:
        """The process id of the runner that is alive; None if none is, or nobody can tell."""
        with suppress(StoreError, OSError):
            return owner_pid(self.state) if lock_path(self.state).is_file() else None
        return None

    @cached_property
    def listing(self) -> Listing | None:
        """The files of the jobs folder; None if it is not there or may not be read."""
        return exhausted(listed(self.jobs, {})) if is_folder(self.jobs) else None

    @cached_property
    def user(self) -> int:
        """The user whose runner it is: the owner of the state folder, else whoever asks."""
        with suppress(OSError):
            return self.state.stat().st_uid
        return os.geteuid()

    @property
    def trust(self) -> Trust:
        """Whom that user trusts: itself, its groups, and root."""
        return (
            ROOT
            if self.user == 0
            else Trust(users=frozenset({0, self.user}), groups=frozenset({0}) | self.groups)
        )

    @cached_property
    def groups(self) -> frozenset[int]:
        """The groups of that user."""
        if self.user == os.geteuid():
            return frozenset({os.getegid(), *os.getgroups()})
        with suppress(KeyError):
            entry = pwd.getpwuid(self.user)
            return frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))
        return frozenset()
