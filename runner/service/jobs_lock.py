"""The lock that lets only one runner run what a jobs folder declares. Locks the folder.

The store's lock keeps two runners off one store. Two runners with different stores on
one jobs folder would still fire everything twice. So a runner holds a flock(2) on the
folder itself, and so does a command that acts as the runner (`exec`): its store knows
nothing of the other runner's guards and claims. The lock needs no write permission:
`jobs.d` may be read-only. It belongs to the folder that the path leads to, through links
and bind mounts. When another folder takes its place (git-sync moves a symbolic link), the
runner locks that one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from runner.errors import RefusedError
from runner.system.background_calls import BackgroundThread, Pending
from runner.system.clock import Clock
from runner.system.file_locks import flock_holder
from runner.system.inheritance import inheritable

LOOK_EVERY_S = 0.5
_PATIENCE_S = 0.1
"""How long the loop waits for a folder that hangs."""
_TRIES, _BETWEEN_TRIES_S = 20, 0.05
"""How often `take` tries. `holder_of` in another program has the lock for an instant."""
_NOT_SUPPORTED = frozenset(
    {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
)
"""Errors of network file systems without flock, or with it for writable files only."""

Identity = tuple[int, int]
"""The device and the inode of a folder."""


class JobsLock:
    """Holds the lock from `take` to `close`.

    With `is_shared`, several runners may hold it together if all of them ask for that. The
    nodes of a fleet do so with `is_of_fleet`, because a frozen leader keeps its lock; they
    still refuse the folder of a runner outside the fleet.
    While another runner holds the lock, `trouble` says so, and nothing fires. `is_firing`
    is off for a command, which holds the lock only while it runs. `handed` is what
    `hand_over` returned in a former program of this process.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        is_shared: bool = False,
        is_of_fleet: bool = False,
        is_firing: bool = True,
        handed: int | None = None,
    ) -> None:
        self.trouble: str | None = None
        self._folder = folder
        self._clock = clock
        self._is_shared = is_shared
        self._kind = fcntl.LOCK_SH if is_shared or is_of_fleet else fcntl.LOCK_EX
        self._is_firing = is_firing
        self._descriptor: int | None = None
        self._identity: Identity | None = None
        if handed is not None:
            status = os.fstat(handed)
            self._descriptor, self._identity = handed, (status.st_dev, status.st_ino)
        self._look_at_s = 0.0
        self._has_warned = False
        self._background = BackgroundThread("lock")
        self._looking: Pending[None] | None = None

    def take(self) -> None:
        """Take the lock if the folder exists. Raises RefusedError if another runner has it."""
        for _ in range(_TRIES):
            self._look_at_s = 0.0
            self.look()
            if self.trouble is None:
                return
            time.sleep(_BETWEEN_TRIES_S)
        raise RefusedError(
            f"{self.trouble}; both would fire everything. Stop one, give this one a jobs folder"
            " of its own (--jobs), or run both with --allow-shared-jobs"
            if self._is_firing
            else f"{self.trouble}. Name that state folder with --state or RUNNER_STATE, so"
            " that its runner does it, or add --allow-shared-jobs"
        )

    def look(self) -> None:
        """Lock the folder that has the path now; at most twice a second.

        The loop waits only a moment for a folder that hangs. Until the folder answers, the
        lock stays as it is.
        """
        if self._clock.elapsed_s() < self._look_at_s or (
            self._looking and not self._looking.is_over
        ):
            return
        self._look_at_s = self._clock.elapsed_s() + LOOK_EVERY_S
        self._looking = self._background.begin(self._follow)
        if self._looking.wait(_PATIENCE_S):
            self._looking.result()

    def _follow(self) -> None:
        try:
            status = os.stat(self._folder)  # noqa: PTH116
            if self._identity == (status.st_dev, status.st_ino):
                # The path may have led to another runner's folder in between.
                self.trouble = None
            else:
                self._lock_anew()
        except OSError:  # missing or unreadable: no request is read from there either
            return

    def hand_over(self) -> int | None:
        """Return a descriptor that keeps the lock over an execve; None without a lock."""
        return None if self._descriptor is None else inheritable(self._descriptor)

    def close(self) -> None:
        """Release the lock."""
        self._background.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = self._identity = None

    def _lock_anew(self) -> None:
        """Lock the folder that has the path now, and release the former one.

        Raises OSError if the folder cannot be opened.
        """
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        status = os.fstat(descriptor)
        try:
            fcntl.flock(descriptor, self._kind | fcntl.LOCK_NB)
        except BlockingIOError:
            # A shared lock that is refused means an exclusive holder. `--allow-shared-jobs`
            # accepts it and keeps the unlocked descriptor.
            if not self._is_shared:
                os.close(descriptor)
                self.trouble = _holder_words(status.st_ino, self._folder)
                return
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                os.close(descriptor)
                raise
            self._warn(error)
        self.close()
        self._descriptor, self._identity, self.trouble = (
            descriptor,
            (status.st_dev, status.st_ino),
            None,
        )

    def _warn(self, error: OSError) -> None:
        if self._is_firing and not self._has_warned:
            self._has_warned = True
            from loguru import logger  # not needed by the commands that ask `holder_of`

            logger.warning(
                "the jobs folder {} cannot be locked ({}): ensure that no other runner serves it",
                self._folder,
                error.strerror,
            )


def holder_of(folder: Path) -> str | None:
    """Return who holds a jobs folder's lock, in words; None if nobody does.

    None too if that is unknown: the folder is unreadable, its file system has no locks, or
    all who hold the lock share it.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder_words(os.fstat(descriptor).st_ino, folder)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _holder_words(inode: int, folder: Path) -> str:
    holder = flock_holder(inode)
    who = f"another runner, {holder}," if holder else "another runner"
    return f"{who} serves the jobs folder {folder} with a state folder of its own"
