"""The runner under examination: its places, and the user that it runs as. Touches files."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from runner.errors import StoreError
from runner.requests.catalog.catalog_reader import exhausted
from runner.requests.catalog.folder.listing import Listing, list_files
from runner.requests.file_settings import OutputBounds
from runner.requests.receivers import AlertSettings
from runner.store.opening import owner_of
from runner.store.place import StorePlace
from runner.system.regular_files import is_folder
from runner.system.trust import ROOT, Trust

T = TypeVar("T")


class _remembered(Generic[T]):  # noqa: N801 - used as a decorator
    """A property that is computed once.

    Until Python 3.12, `functools.cached_property` holds a lock meanwhile. If a file does not
    answer, every later check would wait for that lock.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        # The value in the instance's own dictionary replaces this descriptor from then on.
        value = instance.__dict__[self._name] = self._compute(instance)
        return value


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
    output_bounds: OutputBounds = field(default_factory=OutputBounds)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    url: str | None = field(default=None, repr=False)
    """The URL of the store in PostgreSQL."""
    logrotate: Path = Path("/etc/logrotate.d")

    @property
    def store(self) -> StorePlace:
        """Where the store is."""
        return StorePlace(folder=self.state, url=self.url)

    @_remembered
    def pid(self) -> int | None:
        """The process id of the live runner; None if there is none, or if that cannot
        be determined.
        """
        with suppress(StoreError, OSError):
            owner = owner_of(self.store)
            return None if owner is None or owner.node is not None else owner.pid
        return None

    @_remembered
    def listing(self) -> Listing | None:
        """The files of the jobs folder; None if it is missing or unreadable."""
        found = exhausted(list_files(self.jobs, {})) if is_folder(self.jobs) else None
        return found if isinstance(found, Listing) else None

    @_remembered
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

    @_remembered
    def groups(self) -> frozenset[int]:
        """The groups of the runner's user; empty if the user is unknown."""
        if self.user == os.geteuid():
            return frozenset({os.getegid(), *os.getgroups()})
        with suppress(KeyError):
            entry = pwd.getpwuid(self.user)
            return frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))
        return frozenset()
