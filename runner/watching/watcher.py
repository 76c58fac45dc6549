"""Watches a jobs folder and says "look again". Touches watchdog; no event is believed,
each only wakes.

What no notification can report is left to the owner: `check` sees that the folder
became another one. watchdog follows no links, because a link to a folder above would be
walked without end: the owner names them to `follow`, and the places where they lead are
watched one by one, up to a bound.
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
from watchdog.events import (
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.utils import BaseThread

from runner.system.regular_files import Signature
from runner.watching.mounts import MountTable, signatures_of_files
from runner.watching.watched_links import CHANGES, WakingHandler, WatchedLinks

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

_LIMITS = {
    errno.ENOSPC: "the system's limit of inotify watches is reached; raise fs.inotify.max_user_watches",
    errno.EMFILE: "too many inotify instances or open files; raise fs.inotify.max_user_instances or ulimit -n",
}

# Else it prints on our stderr: about an emitter that was stopped while it delivered, or
# a folder that it saw twice because another was made inside it at that moment.
logging.getLogger("watchdog").addHandler(logging.NullHandler())
warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)

_Identity = tuple[str, int, int]


class Watcher:
    """Calls `wake` (from another thread) whenever anything below `folder` may have changed.

    A file that is moved out of the folder is told after half a second (watchdog waits
    for where it went), everything else within milliseconds. `start`, `check` and `stop`
    belong to one thread.
    """

    def __init__(self, folder: Path, wake: Callable[[], None]) -> None:
        self._folder = folder
        self._handler = WakingHandler(wake)
        self._identity: _Identity | None = None
        self._observer: BaseObserver | None = None
        self._threads: frozenset[BaseThread] = frozenset()
        self._links = WatchedLinks(self._handler)
        self._table: MountTable | None = None
        self._mounts: frozenset[str] = frozenset()
        self._mounted: dict[str, Signature | None] = {}
        self._reason: str | None = ""  # not watching yet

    @property
    def notified(self) -> bool:
        """Whether changes are notified; if not, the owner has to look by itself, and
        `reason` tells why.
        """
        return self._reason is None

    @property
    def reason(self) -> str | None:
        """Why changes are not notified, in words; None if they are, or the watcher has
        not been started yet.
        """
        return self._reason or None

    def start(self) -> None:
        """Start watching; `check` sees a missing folder appear. Never raises: without
        notification `check` serves.
        """
        self._watch_anew()

    def check(self) -> bool:
        """Look at the folder's identity (real path, device, inode); True, and watched
        anew, if it is another one.

        True as well if notification had broken down and works again, or if something is
        mounted below the folder or a place where a link leads is another folder now:
        changes may have been missed. And if a file that is mounted by itself has
        changed: who writes to it elsewhere changes no folder here. The owner calls it
        every 0.5 s.
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
        """Watch the places where links lead, given by the absolute paths of the links,
        and no others from now on.

        Works in slices. True if a place is watched that was not: changes there may have
        been missed. What cannot be watched, or is beyond the bounds, is passed over;
        the owner's resync sees it.
        """
        if self._observer is None or self._identity is None:
            return False
        return (yield from self._links.follow(self._observer, self._identity[0], paths))

    def stop(self) -> None:
        """Stop watching; once it returns, `wake` is not called any more."""
        self._links.forget()
        table, self._table = self._table, None
        if table is not None:
            table.close()
        observer, self._observer = self._observer, None
        if observer is not None:
            _stop(observer)
        self._reason = "stopped"

    def _is_watching(self) -> bool:
        # A thread of watchdog may end by a defect of its own, and one of them does when
        # the folder is removed: a folder that is made then may bear the same inode
        # number, so that the identity alone would not tell.
        return self._observer is not None and all(thread.is_alive() for thread in self._threads)

    def _is_the_same_folder(self) -> bool:
        try:
            return _identity_of(self._folder) == self._identity
        except OSError:
            return False

    def _are_mounts_others(self) -> bool:
        """Tell whether something was mounted below the folder, which is not notified;
        then it is watched anew.
        """
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
            # Before the watch is set: should the folder be replaced between, the next
            # check sees it.
            self._identity = _identity_of(self._folder)
            self._table = MountTable()
            self._mounts = self._table.within(self._identity[0])
            self._mounted = signatures_of_files(self._mounts)
            others = _watchdog_threads()
            self._observer = _started_observer(self._identity[0], self._handler)
            self._threads = _watchdog_threads() - others
            self._reason = None
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
            self._reason = f"{self._folder}: {_words(error)}"


def _identity_of(folder: Path) -> _Identity:
    """Return what tells one folder from another at the same path. Raises OSError if
    there is none to watch.
    """
    real = os.path.realpath(folder)
    status = Path(real).stat()
    if not S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    return real, status.st_dev, status.st_ino


def _started_observer(folder: str, handler: FileSystemEventHandler) -> BaseObserver:
    """Watch `folder` and the folders below it. Raises OSError; a folder below that
    cannot be watched is passed over.
    """
    if not os.access(folder, os.R_OK | os.X_OK):  # watchdog would call it watched
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
    """Return the observers, their readers and emitters: the reader is not to be had
    from the observer.
    """
    return frozenset(thread for thread in threading.enumerate() if isinstance(thread, BaseThread))


def _keep_from_children() -> None:
    """Close watchdog's inotify descriptors on exec: it forgets to, and each process
    would keep an instance in use.
    """
    for descriptor in Path("/proc/self/fd").glob("*"):
        try:
            if descriptor.readlink().name == "anon_inode:inotify":
                os.set_inheritable(int(descriptor.name), False)
        except OSError:  # closed meanwhile, as the one of this listing is
            continue


def _stop(observer: BaseObserver) -> None:
    try:
        observer.stop()
    except Exception:  # noqa: BLE001 - a thread of it may have failed half-way; its rest must not take us along
        logger.exception("stopping the watch of a folder failed")
        return
    if observer.is_alive():
        observer.join()


def _words(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    return _LIMITS.get(error.errno or 0) or error.strerror or str(error)
