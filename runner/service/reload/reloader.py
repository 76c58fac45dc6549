"""Decides when to read the jobs folder again, and reads it in slices. Owns the watcher
and the catalog reader.

A notification says when to look, and at which paths. The runner then waits for a moment
of quiet and reads these files. It walks the whole folder if anything else may have
changed. Changes without a notification are found by looking at the folder's identity
and, less often, at every file's stat.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.planning.difference import touched
from runner.provenance.commits import is_being_changed
from runner.provenance.revision import Provenance
from runner.requests.catalog.cache_file import CacheFile
from runner.requests.catalog.catalog import Catalog
from runner.requests.catalog.catalog_reader import CatalogReader, exhausted
from runner.requests.catalog.folder.changed_paths import ChangedPaths
from runner.requests.files.permissions import is_guarded
from runner.requests.model import ProcessRequest
from runner.service.registry import Incumbents
from runner.service.reload.resync import Resync
from runner.service.reload.stillness import RETRY_S, FolderState, Stillness
from runner.service.runner_settings import Settings
from runner.system.clock import Clock
from runner.system.garbage_collection import objects_frozen
from runner.watching.watcher import Watcher

IDENTITY_EVERY_S = 0.5
ANSWER_PATIENCE_S = 0.1
"""How long a reading waits for git to say whether the folder differs from its commit."""
_ANSWER_SLICE_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A catalog that was just read, with the revision of its folder.

    `touched` are the names whose request differs from the one in force at the time, or
    that only one side has. `begun_s` is the start of the reading, in elapsed seconds.
    """

    catalog: Catalog
    touched: frozenset[str]
    git_commit: str | None
    begun_s: float


class Reloader:
    """Decides when there is a new catalog, and reads it. Times are elapsed seconds."""

    def __init__(
        self,
        reader: CatalogReader,
        watcher: Watcher,
        clock: Clock,
        *,
        folder: Path,
    ) -> None:
        self._reader = reader
        self._watcher = watcher
        self._clock = clock
        self._stillness = Stillness()
        self._checked_at_s = 0.0
        self._glance: Generator[None, None, bool] | None = None
        self._scan: Generator[None, None, Reading] | None = None
        self._identity_at_s = 0.0
        self._resync = Resync(clock)
        self._folder = folder
        self._provenance = Provenance(folder)
        self._is_asked = False
        self._commit: str | None = None
        self._revision: str | None = None

    @property
    def trouble(self) -> str | None:
        """Why changes are not notified; None if they are. Looking finds them later."""
        return self._watcher.reason

    @property
    def is_folder_lost(self) -> bool:
        """Whether changes are not notified because the folder is missing or unreadable."""
        return self._watcher.is_folder_lost

    @property
    def is_reading(self) -> bool:
        """Whether files are being read; then call `advance` whenever nothing else is due."""
        return self._scan is not None or self._glance is not None

    def note_change(self) -> None:
        """Read the paths that the watcher has noted, once the folder is quiet."""
        self._is_asked = False
        self._stillness.note_change(self._clock.elapsed_s())

    def look_again(self, *, at_once: bool = False) -> None:
        """Walk the folder once it is quiet; with `at_once`, without waiting for quiet."""
        self._watcher.changed.doubt()
        self.note_change()
        if at_once:
            self._stillness.note_command(self._clock.elapsed_s())

    def next_s(self) -> float:
        """Return when `check` has something to do."""
        waits = [self._identity_at_s, self._resync.at_s]
        if not self.is_reading:
            ready_at_s = self._stillness.ready_at_s(is_watched=self._watcher.notified)
            glance_at_s = self._stillness.glance_at_s
            waits += [due_s for due_s in (ready_at_s, glance_at_s) if due_s is not None]
        if self._provenance.is_asking:
            waits.append(self._clock.elapsed_s() + RETRY_S)
        return min(waits)

    def check(self, incumbents: Callable[[], Incumbents]) -> None:
        """Make the looks that are due; begin a scan if there is a reason for one."""
        now_s, checked_at_s = self._clock.elapsed_s(), self._checked_at_s
        self._checked_at_s = now_s
        if now_s >= self._identity_at_s:
            self._identity_at_s = now_s + IDENTITY_EVERY_S
            # Git moves HEAD after it has written the files. A commit of files that are
            # already there changes nothing but HEAD.
            if self._watcher.check() or self._provenance.commit != self._commit:
                self.look_again()
        if now_s >= self._resync.at_s and not self.is_reading:
            self._compare()
        if self.is_reading:
            return
        self._take_answer()
        stillness, is_watched = self._stillness, self._watcher.notified
        if stillness.is_ready(now_s, is_watched=is_watched):
            # A folder that was replaced a moment ago was not watched until now, so its
            # quiet proves nothing.
            if stillness.state is not FolderState.STILL and self._watcher.check():
                self.look_again()
            elif stillness.confirm(now_s, looked_at_s=checked_at_s, is_watched=is_watched):
                self._begin(now_s, incumbents)
            else:  # the watcher may have been stalled, too
                self._watcher.changed.doubt()
        elif stillness.glance_at_s is not None and now_s >= stillness.glance_at_s:
            self._begin_glance(now_s)

    def advance(self, budget_s: float) -> Reading | None:
        """Read for about `budget_s` seconds; return the reading once it is complete."""
        until_s = self._clock.elapsed_s() + budget_s
        try:
            while (slices := self._glance or self._scan) and self._clock.elapsed_s() < until_s:
                next(slices)
        except StopIteration as whole:
            if slices is self._glance:
                self._glance = None
                self._stillness.end_glance(
                    self._clock.elapsed_s(),
                    is_different=whole.value,
                    is_watched=self._watcher.notified,
                )
                return None
            self._scan = None
            reading: Reading = whole.value
            return reading
        return None

    def recall(self) -> Container[str]:
        """Take, before the first reading, what a former program read of the folder.

        Return the stored definitions that need no new validation.
        """
        return self._reader.recall()

    def reuse(self, requests: Mapping[str, ProcessRequest]) -> None:
        """Use the stored requests, already built, in the first reading."""
        self._reader.reuse(requests)

    def read_anew(self, reader: CatalogReader) -> None:
        """Read everything again, at once, with another reader; drop a reading in progress."""
        self._reader = reader
        self._glance = self._scan = None
        self._resync.drop()
        self.look_again(at_once=True)

    def read(self, incumbents: Incumbents) -> Reading:
        """Start to watch the folder, and read all of it: at the start, when nothing else is due."""
        self._watcher.start()
        with objects_frozen():
            self._ask()
            reading = exhausted(self._read(incumbents, self._changed))
        self.keep()
        return reading

    def keep(self) -> None:
        """Keep what was read for the next start."""
        self._reader.keep()

    def close(self) -> None:
        """Keep what was read, and stop the watcher and git."""
        self._watcher.stop()
        self._provenance.close()
        self.keep()

    def _take_answer(self) -> None:
        """Take an answer of git that came too late for its reading.

        A different revision is a reason to read again.
        """
        is_late = (
            self._provenance.is_asking and self._provenance.take() and self._stillness.is_quiet
        )
        if is_late and self._provenance.revision() != self._revision:
            self.note_change()

    def _ask(self) -> None:
        """Let git look at the folder while it is read."""
        if not self._is_asked:
            self._provenance.ask()
            self._is_asked = True

    def _read(
        self, incumbents: Incumbents, changed: ChangedPaths | None
    ) -> Generator[None, None, Reading]:
        begun_s = self._clock.elapsed_s()
        catalog = yield from self._reader.scan(incumbents, changed)
        if (yield from self._watcher.follow(self._reader.followed)):
            self.look_again()  # a link's target was not watched until now
        names = yield from _touched(incumbents.requests, catalog)
        until_s = self._clock.elapsed_s() + ANSWER_PATIENCE_S
        while (
            not self._provenance.take(within_s=_ANSWER_SLICE_S)
            and self._clock.elapsed_s() < until_s
        ):
            yield
        self._commit, self._revision = self._provenance.commit, self._provenance.revision()
        return Reading(catalog=catalog, touched=names, git_commit=self._revision, begun_s=begun_s)

    def _begin(self, now_s: float, incumbents: Callable[[], Incumbents]) -> None:
        if self._is_held() and self._stillness.note_lock(now_s):
            return
        self._stillness.begin_reading()
        self._ask()
        self._scan = self._read(incumbents(), self._changed)

    def _begin_glance(self, now_s: float) -> None:
        if self._is_held():
            self._stillness.delay_glance(now_s)
            return
        self._stillness.begin_glance()
        self._ask()
        self._glance = self._reader.glance(self._changed)

    def _is_held(self) -> bool:
        """Return whether git is changing the folder; then walk it afterwards."""
        if not is_being_changed(self._folder):
            return False
        self._watcher.changed.doubt()
        return True

    def _compare(self) -> None:
        """Look at more files, and walk the folder if a look at all of them found a change."""
        if self._resync.advance(self._reader.look, notified=self._watcher.notified):
            self._is_asked = False
            self._watcher.changed.doubt()
            # While the folder is restless, the files that differ are those still to be read.
            if self._stillness.is_quiet:
                self._stillness.note_change(self._clock.elapsed_s(), is_notified=False)

    @property
    def _changed(self) -> ChangedPaths | None:
        """The paths that have changed; None if the watcher cannot know them all."""
        return self._watcher.changed if self._watcher.notified else None


def _touched(
    old: Mapping[str, ProcessRequest], catalog: Catalog
) -> Generator[None, None, frozenset[str]]:
    """Return the names that only one side has, or whose values are not the same object."""
    new = catalog.requests
    if catalog.former is not old:
        return (yield from touched(old, new))
    return frozenset(name for name in catalog.altered if old.get(name) is not new.get(name))


def catalog_reader(settings: Settings, zone: str) -> CatalogReader:
    """Return a new reader of the jobs folder.

    `zone` is the IANA key for times without an offset.
    """
    cache = CacheFile(settings.state)
    return CatalogReader(settings.jobs, default_zone=zone, is_guarded=is_guarded(), cache=cache)
