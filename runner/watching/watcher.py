"""Watches a jobs folder and wakes the runner, which then reads it again. Touches watchdog.

An event wakes the owner and names a path to look at, but proves nothing: events may be
late, merged or lost. Some changes cause no event; the owner calls `check` to find them.
watchdog does not follow links, because a link to a parent folder would never end. So the
owner passes the links to `follow`, and their targets are watched one by one, up to a
limit.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import warnings
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING

from loguru import logger
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.utils import BaseThread

from runner.requests.catalog.folder.changed_paths import ChangedPaths
from runner.system.regular_files import Signature
from runner.watching.mounts import MountTable, signatures_of_files
from runner.watching.watched_links import CHANGES, WakingHandler, WatchedLinks

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

_LIMITS = {
    errno.ENOSPC: "the system's limit of inotify watches is reached;"
    " raise fs.inotify.max_user_watches",
    errno.EMFILE: "too many inotify instances or open files;"
    " raise fs.inotify.max_user_instances or ulimit -n",
}

# Otherwise watchdog prints harmless messages on stderr: about an emitter stopped during a
# delivery, or about a folder that it saw twice because a folder was created in it just then.
_WATCHDOG_LOG = logging.getLogger("watchdog")
_WATCHDOG_LOG.addHandler(logging.NullHandler())
warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)

_Identity = tuple[str, int, int]


class Watcher:
    """Calls `wake` (from another thread) whenever anything below `folder` may have changed.

    Before the call it notes in `changed` which paths these are. It calls `wake` within
    milliseconds, but half a second late for a file moved out of the folder: watchdog waits
    for the second half of the move. One thread must call `start`, `check`, `follow` and
    `stop`.
    """

    def __init__(self, folder: Path, wake: Callable[[], None]) -> None:
        self.changed = ChangedPaths()
        self._folder = folder
        self._handler = WakingHandler(wake, self.changed)
        self._warnings = _LossHandler(self._handler)
        self._identity: _Identity | None = None
        self._observer: BaseObserver | None = None
        self._threads: frozenset[BaseThread] = frozenset()
        self._links = WatchedLinks(self._handler)
        self._table: MountTable | None = None
        self._mounts: frozenset[str] = frozenset()
        self._mounted: dict[str, Signature | None] = {}
        self._reason: str | None = ""  # not watching yet
        self.is_folder_lost = False
        """Whether there are no notifications because the folder is missing or unreadable."""

    @property
    def notified(self) -> bool:
        """Whether changes cause notifications. If not, `reason` says why, and the owner polls."""
        return self._reason is None

    @property
    def reason(self) -> str | None:
        """Why there are no notifications, in words; None if there are, or before the start."""
        return self._reason or None

    def start(self) -> None:
        """Start watching. Never raises: `reason` then says why nothing is watched.

        `check` finds a missing folder once it exists.
        """
        self._watch_anew()

    def check(self) -> bool:
        """Return whether changes may have happened without a notification.

        The owner calls this every 0.5 s. It is true if

        - another folder is at the path now (by real path, device and inode),
        - notifications had failed and work again,
        - something was mounted or unmounted below the folder,
        - another folder is at the target of a link, or
        - a bind-mounted file has changed: its writer changes no folder here.

        In the first three cases start a new watch.
        """
        if self._is_watching() and self._is_the_same_folder():
            return (
                self._are_mounts_others()
                or self._links.are_others()
                or self._are_mounted_files_others()
            )
        former = self._identity
        self._watch_anew()
        return self.notified or self._identity != former

    def follow(self, paths: Iterable[str]) -> Generator[None, None, bool]:
        """Watch the targets of links, given by the links' absolute paths.

        Stop watching all other targets. Work in slices. Return whether a new place is
        watched: changes there may have been missed. Skip a place that cannot be watched
        or exceeds the limits; the owner's resync covers it.
        """
        if self._observer is None or self._identity is None:
            return False
        return (yield from self._links.follow(self._observer, self._identity[0], paths))

    def stop(self) -> None:
        """Stop watching. After the return, `wake` is never called."""
        self._links.forget()
        table, self._table = self._table, None
        if table is not None:
            table.close()
        observer, self._observer = self._observer, None
        if observer is not None:
            _stop(observer)
        _WATCHDOG_LOG.removeHandler(self._warnings)
        self._reason = "stopped"

    def _is_watching(self) -> bool:
        # A thread of watchdog may crash, and one ends when the folder is removed. A new
        # folder may get the same inode number, so comparing the identity is not enough.
        return self._observer is not None and all(thread.is_alive() for thread in self._threads)

    def _is_the_same_folder(self) -> bool:
        try:
            return _identity_of(self._folder) == self._identity
        except OSError:
            return False

    def _are_mounts_others(self) -> bool:
        """Return whether the mounts below the folder have changed; then start a new watch."""
        assert self._identity is not None
        assert self._table is not None
        if self._table.within(self._identity[0]) == self._mounts:
            return False
        self._watch_anew()
        return True

    def _are_mounted_files_others(self) -> bool:
        former, self._mounted = self._mounted, signatures_of_files(self._mounts)
        return self._mounted != former

    def _watch_anew(self) -> None:
        self.stop()
        self._identity, self._mounts = None, frozenset()
        try:
            # Before the watch: if the folder is replaced in between, the next check sees
            # another identity.
            self._identity = _identity_of(self._folder)
            self._table = MountTable()
            self._mounts = self._table.within(self._identity[0])
            self._mounted = signatures_of_files(self._mounts)
            _WATCHDOG_LOG.addHandler(self._warnings)
            others = _watchdog_threads()
            self._observer = _started_observer(self._identity[0], self._handler)
            self._threads = _watchdog_threads() - others
            self._reason, self.is_folder_lost = None, False
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
            self._reason = f"{self._folder}: {_words(error)}"
            self.is_folder_lost = self._identity is None or isinstance(error, PermissionError)


class _LossHandler(logging.Handler):
    """Takes a warning of watchdog as a change of the whole folder.

    watchdog warns when the kernel's queue of events has overflowed, and drops the events
    that it holds.
    """

    def __init__(self, waking: WakingHandler) -> None:
        super().__init__(logging.WARNING)
        self._waking = waking

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - logging's signature
        self._waking.note_loss()


def _identity_of(folder: Path) -> _Identity:
    """Return the real path, device and inode of a folder. Raises OSError if it is missing."""
    real = os.path.realpath(folder)
    status = Path(real).stat()
    if not S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    return real, status.st_dev, status.st_ino


def _started_observer(folder: str, handler: FileSystemEventHandler) -> BaseObserver:
    """Watch `folder` and the folders below it; skip one below that cannot be watched.

    Raises OSError, and RuntimeError if no thread can be started.
    """
    if not os.access(folder, os.R_OK | os.X_OK):  # watchdog would report no error
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    observer = Observer()
    try:
        _keep_from_children()
        observer.schedule(handler, folder, recursive=True, event_filter=CHANGES)
        observer.start()
    except (OSError, RuntimeError):
        _stop(observer)
        raise
    return observer


def _watchdog_threads() -> frozenset[BaseThread]:
    """Return all threads of watchdog.

    An observer does not expose its inotify reader, so search among all threads.
    """
    return frozenset(thread for thread in threading.enumerate() if isinstance(thread, BaseThread))


def _keep_from_children() -> None:
    """Set close-on-exec on inotify descriptors, which watchdog does not do.

    Otherwise each started process would keep an inotify instance in use.
    """
    for descriptor in Path("/proc/self/fd").glob("*"):
        try:
            if descriptor.readlink().name == "anon_inode:inotify":
                os.set_inheritable(int(descriptor.name), False)
        except OSError:  # closed since, as the descriptor of this listing is
            continue


def _stop(observer: BaseObserver) -> None:
    try:
        observer.stop()
    except Exception:  # noqa: BLE001 - a thread that started only in part may raise anything
        logger.exception("stopping the watch of a folder failed")
        return
    if observer.is_alive():
        observer.join()


def _words(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    return _LIMITS.get(error.errno or 0) or error.strerror or str(error)
