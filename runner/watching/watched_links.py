"""Watches the targets of links in a jobs folder, up to a limit. Touches watchdog and files."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from loguru import logger
from watchdog.events import (
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)

from runner.requests.catalog.folder.changed_paths import ChangedPaths
from runner.watching.link_targets import targets_of

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver, ObservedWatch

# Without the events of opening a file and of closing it after a read. The runner's own scan
# of 10,000 files would cause them, wake the runner again, and overflow the kernel's queue.
CHANGES: list[type[FileSystemEvent]] = [
    FileCreatedEvent, FileModifiedEvent, FileAttribEvent,
    FileClosedEvent, FileMovedEvent, FileDeletedEvent,
    DirCreatedEvent, DirAttribEvent, DirMovedEvent, DirDeletedEvent,
]  # fmt: skip
"""The events that may mean a change of content."""
MOST_TARGETS = 64
"""Maximum number of watched places outside the folder: each needs a thread of watchdog."""
MOST_FOLDERS = 2_000
"""Maximum number of folders below a link's target: each needs an inotify watch."""
_ENDINGS = (".yaml", ".yml")


class WakingHandler(FileSystemEventHandler):
    """Notes the changed paths in `changed`, and calls `wake` for every event."""

    def __init__(self, wake: Callable[[], None], changed: ChangedPaths) -> None:
        self._wake = wake
        self._changed = changed

    def dispatch(self, event: FileSystemEvent) -> None:
        if event.is_directory:  # everything below it may have changed, too
            self._changed.doubt()
        else:
            self._changed.note(*paths_of(event))
        self._wake_for(event.event_type)

    def note_loss(self) -> None:
        """Note that events were lost: any path may have changed."""
        self._changed.doubt()
        self._wake_for("lost events")

    def _wake_for(self, reason: str) -> None:
        try:
            self._wake()
        # An exception would end watchdog's thread, and no later event would arrive.
        except Exception:  # noqa: BLE001
            logger.exception("waking up for {} failed", reason)


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder; with `is_tree` also all folders below it."""

    path: str
    is_tree: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """A watched place."""

    watch: ObservedWatch
    handler: _TargetHandler
    inode: tuple[int, int]
    """Device and inode of the folder when the watch began: a new folder needs a new watch."""


class WatchedLinks:
    """The places watched because links in a folder lead there. Used by one thread."""

    def __init__(self, waking: WakingHandler) -> None:
        self._waking = waking
        self._targets: dict[_Place, _Target] = {}

    def follow(
        self, observer: BaseObserver, folder: str, paths: Iterable[str]
    ) -> Generator[None, None, bool]:
        """Watch the targets of the links at `paths`, and stop watching all other places.

        Targets inside `folder`, given by its real path, are watched already. Work in
        slices. Return whether a new place is watched.
        """
        targets = yield from targets_of(paths)
        trees = frozenset(tree for tree in targets.trees if self._may_watch(tree))
        wanted = dict(_places_in(targets.names, trees, folder))
        for place, target in tuple(self._targets.items()):
            if place not in wanted or _inode_at(place.path) != target.inode:
                self._drop(observer, place)
        is_new = False
        for place, names in wanted.items():
            if place in self._targets:
                self._targets[place].handler.names = names
            elif len(self._targets) < MOST_TARGETS:
                is_new |= self._add(observer, place, names)
        return is_new

    def are_others(self) -> bool:
        """Return whether another, unwatched folder has taken the path of any place."""
        return any(_inode_at(place.path) != target.inode for place, target in self._targets.items())

    def forget(self) -> None:
        """Forget all places, because their observer was stopped."""
        self._targets = {}

    def _may_watch(self, tree: str) -> bool:
        return _Place(tree, is_tree=True) in self._targets or _is_small(tree)

    def _add(self, observer: BaseObserver, place: _Place, names: frozenset[str]) -> bool:
        inode = _inode_at(place.path)
        if inode is None:
            return False
        handler = _TargetHandler(self._waking, place, names)
        try:
            watch = observer.schedule(
                handler, place.path, recursive=place.is_tree, event_filter=CHANGES
            )
        except (OSError, RuntimeError) as error:
            logger.debug("{} is not watched: {}", place.path, error)
            return False
        self._targets[place] = _Target(watch=watch, handler=handler, inode=inode)
        return True

    def _drop(self, observer: BaseObserver, place: _Place) -> None:
        with suppress(KeyError):  # the folder was removed, which ended watchdog's thread
            observer.unschedule(self._targets.pop(place).watch)


class _TargetHandler(FileSystemEventHandler):
    """Wakes for events of `names` in a folder, and of the folder itself.

    In a tree it also wakes for every request file and every folder. It ignores all other
    files, because the runner's own state may be among them.
    """

    def __init__(self, waking: WakingHandler, place: _Place, names: frozenset[str]) -> None:
        self._waking = waking
        self._place = place
        self.names = names

    def dispatch(self, event: FileSystemEvent) -> None:
        is_folder = self._place.is_tree and event.is_directory
        if is_folder or any(map(self._matters, paths_of(event))):
            self._waking.dispatch(event)

    def _matters(self, path: str) -> bool:
        name = os.path.basename(path)  # noqa: PTH119
        is_request = self._place.is_tree and name.endswith(_ENDINGS)
        return name in self.names or path == self._place.path or is_request


def paths_of(event: FileSystemEvent) -> list[str]:
    """Return the paths that an event is about: two for a move."""
    return [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]


def unwatched(folder: str, paths: Iterable[str]) -> Generator[None, None, list[str]]:
    """Return the targets of links that exceed the limits and are unwatched. Work in slices."""
    targets = yield from targets_of(paths)
    large = [tree for tree in sorted(targets.trees) if not _is_small(tree)]
    places = [
        place.path
        for place, _ in _places_in(targets.names, targets.trees - frozenset(large), folder)
    ]
    return large + places[MOST_TARGETS:]


def _places_in(
    names_in: Mapping[str, frozenset[str]], trees: frozenset[str], folder: str
) -> Iterator[tuple[_Place, frozenset[str]]]:
    """Yield the places to watch outside `folder`, each with its relevant names.

    Leave out a place inside another one: a single recursive watch covers it.
    """
    beyond = [tree for tree in sorted(trees) if not _is_within(tree, folder)]
    outer = [
        tree
        for tree in beyond
        if not any(tree != other and _is_within(tree, other) for other in beyond)
    ]
    for path, names in sorted(names_in.items()):
        if not any(_is_within(path, covered) for covered in (folder, *outer)):
            yield _Place(path), names
    for tree in outer:
        inside = (names for path, names in names_in.items() if _is_within(path, tree))
        yield _Place(tree, is_tree=True), frozenset().union(*inside)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _is_small(folder: str) -> bool:
    """Return whether the folders below a folder are few enough to watch each of them."""
    return sum(1 for _ in islice(os.walk(folder), MOST_FOLDERS + 1)) <= MOST_FOLDERS


def _inode_at(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_dev, status.st_ino
