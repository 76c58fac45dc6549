"""Decides when to read the jobs folder again, and reads it in slices. Owns the watcher
and the catalog reader.

A notification only says when to look. The runner then waits for a moment of quiet and
scans the whole folder. Changes without a notification are found by looking at the
folder's identity and, less often, at every file's stat.
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
from runner.requests.files.permissions import is_guarded
from runner.requests.model import ProcessRequest
from runner.service.registry import Incumbents
from runner.service.reload.stillness import RETRY_S, FolderState, Stillness
from runner.service.runner_settings import Settings
from runner.system.clock import Clock
from runner.system.garbage_collection import objects_frozen
from runner.watching.watcher import Watcher

IDENTITY_EVERY_S = 0.5
RESYNC_EVERY_S = 5.0
RESYNC_UNNOTIFIED_S = 1.0
RESYNC_SHARE, RESYNC_UNNOTIFIED_SHARE = 500, 20
"""A resync works in slices, and each slice is followed by a rest this many times as long.

So a resync of many files takes long but little CPU time.
"""
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
        self._look: Generator[None, None, bool] | None = None
        self._look_ends_s = 0.0
        self._identity_at_s = 0.0
        self._resync_at_s = 0.0
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

    def look_again(self, *, at_once: bool = False) -> None:
        """Read the folder once it is quiet; with `at_once`, without waiting for quiet."""
        self._is_asked = False
        now_s = self._clock.elapsed_s()
        if at_once:
            self._stillness.note_command(now_s)
        else:
            self._stillness.note_change(now_s)

    def next_s(self) -> float:
        """Return when `check` has something to do."""
        waits = [self._identity_at_s, self._resync_at_s]
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
        if now_s >= self._resync_at_s:
            self._resync()
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
        self._glance = self._scan = self._look = None
        self.look_again(at_once=True)

    def read(self, incumbents: Incumbents) -> Reading:
        """Start to watch the folder, and read all of it: at the start, when nothing else is due."""
        self._watcher.start()
        with objects_frozen():
            self._ask()
            reading = exhausted(self._read(incumbents))
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
            self.look_again()

    def _ask(self) -> None:
        """Let git look at the folder while it is read."""
        if not self._is_asked:
            self._provenance.ask()
            self._is_asked = True

    def _read(self, incumbents: Incumbents) -> Generator[None, None, Reading]:
        begun_s = self._clock.elapsed_s()
        catalog = yield from self._reader.scan(incumbents)
        if (yield from self._watcher.follow(self._reader.followed)):
            self.look_again()  # a link's target was not watched until now
        names = yield from touched(incumbents.requests, catalog.requests)
        until_s = self._clock.elapsed_s() + ANSWER_PATIENCE_S
        while (
            not self._provenance.take(within_s=_ANSWER_SLICE_S)
            and self._clock.elapsed_s() < until_s
        ):
            yield
        self._commit, self._revision = self._provenance.commit, self._provenance.revision()
        return Reading(catalog=catalog, touched=names, git_commit=self._revision, begun_s=begun_s)

    def _begin(self, now_s: float, incumbents: Callable[[], Incumbents]) -> None:
        if is_being_changed(self._folder) and self._stillness.note_lock(now_s):
            return
        self._stillness.begin_reading()
        self._ask()
        self._scan = self._read(incumbents())

    def _begin_glance(self, now_s: float) -> None:
        if is_being_changed(self._folder):
            self._stillness.delay_glance(now_s)
            return
        self._stillness.begin_glance()
        self._ask()
        self._glance = self._reader.glance()

    def _resync(self) -> None:
        """Compare another slice of files with what is known, then rest for its share of time."""
        begun_s = self._clock.elapsed_s()
        if self._scan is not None or not self._stillness.is_quiet:
            # A scan sees everything that a look would see.
            self._look, self._look_ends_s = None, begun_s + self._resync_every_s
        elif self._look is None:
            self._look, self._look_ends_s = self._reader.look(), begun_s + self._resync_every_s
        is_whole = self._look is None or self._look_on(self._look)
        now_s = self._clock.elapsed_s()
        rested_s = now_s + (now_s - begun_s) * (
            RESYNC_SHARE if self._watcher.notified else RESYNC_UNNOTIFIED_SHARE
        )
        self._resync_at_s = max(rested_s, self._look_ends_s) if is_whole else rested_s

    def _look_on(self, look: Generator[None, None, bool]) -> bool:
        """Do one slice of a look; return whether it was the last."""
        try:
            next(look)
        except StopIteration as end:
            self._look = None
            if end.value:
                self._is_asked = False
                self._stillness.note_change(self._clock.elapsed_s(), is_notified=False)
            return True
        return False

    @property
    def _resync_every_s(self) -> float:
        return RESYNC_EVERY_S if self._watcher.notified else RESYNC_UNNOTIFIED_S


def catalog_reader(settings: Settings, zone: str) -> CatalogReader:
    """Return a new reader of the jobs folder.

    `zone` is the IANA key for times without an offset.
    """
    cache = CacheFile(settings.state)
    return CatalogReader(settings.jobs, default_zone=zone, is_guarded=is_guarded(), cache=cache)
