"""When the jobs folder is read again, and reading it in slices. Owns the watcher and
the catalog reader.

A notification is never believed, it only makes us look: after a moment of quiet, by a
whole rescan. What no notification tells of is found by looking at the folder's identity
and, less often, at every file's stat.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.planning.difference import touched
from runner.provenance import Provenance, is_being_changed
from runner.requests.catalog.reader import Catalog, CatalogReader, exhausted
from runner.requests.catalog.remembered_files import accepted
from runner.requests.model import ProcessRequest
from runner.service.clock import Clock
from runner.service.registry import Incumbents
from runner.service.reload.catalog_cache import CatalogCache
from runner.system.garbage_collection import lasting_heap
from runner.watching.watcher import Watcher

QUIET_S = 0.15
"""How long a folder must have been still before it is read; half as long as it was
restless, if that is more,
"""
LONGEST_QUIET_S = 0.6
"""but never longer than this."""
GLANCE_S = 0.03
"""After so long a stillness it is read ahead: what is still so in the end need only be looked at.
"""
GLANCE_EVERY_S = 0.5
"""How often one that is never quiet is read ahead: it is still once nothing in it looks
different any more.
"""
LATE_S = 0.05
"""Who looks so much too late was kept from it, and perhaps so was the watcher: a quiet
slept through is none.
"""
PATIENCE_S = 10.0
"""How long a folder that goes on changing, or git's index.lock, holds a reload back at the most."""
IDENTITY_EVERY_S = 0.5
RESYNC_EVERY_S = 5.0
RESYNC_UNNOTIFIED_S = 1.0
RESYNC_SHARE, RESYNC_UNNOTIFIED_SHARE = 500, 20
"""A resync is done in slices, each of which may use one part in so many of the time:
with many files it lasts long.
"""
_RETRY_S = 0.05
ANSWER_PATIENCE_S = 0.1
"""How long a reading waits at the most for git to say whether the folder differs from its commit.
"""
_ANSWER_SLICE_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A catalog that has just been read, the revision its folder is at, and the elapsed
    seconds when that began.

    `touched` are the names of which it has another request than was in force then, or
    which only one of both has.
    """

    catalog: Catalog
    touched: frozenset[str]
    git_commit: str | None
    begun_s: float


class Reloader:
    """Says when there is a new catalog. Times are the clock's elapsed seconds."""

    def __init__(
        self,
        reader: CatalogReader,
        watcher: Watcher,
        clock: Clock,
        *,
        folder: Path,
        cache: CatalogCache,
    ) -> None:
        self._reader = reader
        self._cache = cache
        self._notes = cache.notes(reader)
        self._watcher = watcher
        self._clock = clock
        self._restless_since_s: float | None = None
        self._restless_at_s = 0.0
        self._held_until_s = 0.0
        self._is_still = self._is_glanced = self._is_found = False
        self._is_doubted = False
        self._checked_at_s = 0.0
        self._glance_at_s: float | None = None
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
        """Why changes are not notified, if so; they are found by looking, only later."""
        return self._watcher.reason

    @property
    def is_reading(self) -> bool:
        """Whether files are being read; then `advance` wants to be called whenever
        nothing else is due.
        """
        return self._scan is not None or self._glance is not None

    def look_again(self, *, at_once: bool = False) -> None:
        """Read the folder once it is still; `at_once` without waiting for that."""
        now_s = self._clock.elapsed_s()
        if self._restless_since_s is None:
            self._restless_since_s, self._glance_at_s = now_s, now_s + GLANCE_S
        self._restless_at_s, self._is_doubted = now_s, False
        self._is_asked = False
        if at_once:
            self._is_still, self._glance_at_s = True, None

    def next_s(self) -> float:
        """Return when `check` has something to do."""
        waits = [self._identity_at_s, self._resync_at_s]
        if not self.is_reading:
            waits += [
                due_s for due_s in (self._begin_at_s(), self._glance_at_s) if due_s is not None
            ]
        if self._provenance.is_asking:
            waits.append(self._clock.elapsed_s() + _RETRY_S)
        return min(waits)

    def check(self, incumbents: Callable[[], Incumbents]) -> None:
        """Look at what is due to be looked at; begin a scan when there is a reason to."""
        now_s, checked_at_s = self._clock.elapsed_s(), self._checked_at_s
        self._checked_at_s = now_s
        if now_s >= self._identity_at_s:
            self._identity_at_s = now_s + IDENTITY_EVERY_S
            # Git moves its HEAD after the files; for a commit of what lies there
            # already it moves nothing else.
            if self._watcher.check() or self._provenance.commit != self._commit:
                self.look_again()
        if now_s >= self._resync_at_s:
            self._resync()
        if self.is_reading:
            return
        self._take_answer()
        begin_s = self._begin_at_s()
        if begin_s is not None and now_s >= begin_s:
            # What was made anew a moment ago was not watched until now: that it was
            # quiet, nobody can say.
            if not self._is_still and self._watcher.check():
                self.look_again()
                return
            if self._is_told and not self._is_still and now_s - max(begin_s, checked_at_s) > LATE_S:
                self._doubt(now_s)
            if now_s >= (self._begin_at_s() or now_s):
                self._begin(now_s, incumbents)
        elif self._glance_at_s is not None and now_s >= self._glance_at_s:
            self._begin_glance(now_s)

    def advance(self, budget_s: float) -> Reading | None:
        """Read on for about `budget_s` seconds; return the reading once it is whole."""
        until_s = self._clock.elapsed_s() + budget_s
        try:
            while (slices := self._glance or self._scan) and self._clock.elapsed_s() < until_s:
                next(slices)
        except StopIteration as whole:
            if slices is self._glance:
                self._glance = None
                self._end_glance(is_different=whole.value)
                return None
            self._scan = None
            reading: Reading = whole.value
            return reading
        return None

    @property
    def accepted(self) -> frozenset[str]:
        """The digests of the definitions in the store that need not be validated again."""
        return accepted(self._notes)

    def recall(self, requests: Mapping[str, ProcessRequest]) -> None:
        """Before the first reading: know again what a former runner has read of the
        `requests` in the store.
        """
        self._reader.recall(self._notes, requests)
        self._notes = {}

    def read_anew(self, reader: CatalogReader) -> None:
        """Read everything again with another reader, at once; what was being read is forgotten."""
        self._reader, self._notes = reader, {}
        self._glance = self._scan = self._look = None
        self.look_again(at_once=True)

    def read(self, incumbents: Incumbents) -> Reading:
        """Watch the folder, and read it in one go: at the start, when there is nothing else to do."""
        self._watcher.start()
        with lasting_heap():
            self._ask()
            reading = exhausted(self._read(incumbents))
        self.keep()
        return reading

    def keep(self) -> None:
        """Keep what was read for the next start."""
        self._cache.keep(self._reader)

    def close(self) -> None:
        """Keep what was read, and end what runs."""
        self._watcher.stop()
        self._provenance.close()
        self.keep()

    def _doubt(self, now_s: float) -> None:
        """Wait for quiet once more, and only once, until something is notified."""
        if not self._is_doubted:
            self._restless_at_s, self._is_doubted = now_s, True

    def _take_answer(self) -> None:
        """Take what git has said too late for a reading; that it says something else is
        a reason to read again.
        """
        is_late = (
            self._provenance.is_asking
            and self._provenance.take()
            and self._restless_since_s is None
        )
        if is_late and self._provenance.revision() != self._revision:
            self.look_again()

    def _ask(self) -> None:
        """Have git look at the folder while we read it."""
        if not self._is_asked:
            self._provenance.ask()
            self._is_asked = True

    def _read(self, incumbents: Incumbents) -> Generator[None, None, Reading]:
        begun_s = self._clock.elapsed_s()
        catalog = yield from self._reader.scan(incumbents)
        if (yield from self._watcher.follow(self._reader.followed)):
            self.look_again()  # what lies there was not watched until now
        names = yield from touched(incumbents.requests, catalog.requests)
        until_s = self._clock.elapsed_s() + ANSWER_PATIENCE_S
        while (
            not self._provenance.take(within_s=_ANSWER_SLICE_S)
            and self._clock.elapsed_s() < until_s
        ):
            yield
        self._commit, self._revision = self._provenance.commit, self._provenance.revision()
        return Reading(catalog=catalog, touched=names, git_commit=self._revision, begun_s=begun_s)

    def _begin_at_s(self) -> float | None:
        if self._restless_since_s is None:
            return None
        at_last_s = self._restless_since_s + PATIENCE_S
        if self._is_still:
            at_last_s = self._restless_since_s
        elif self._is_told:
            # Whoever has been writing for long may well stand still for a while, until
            # the disk takes more.
            lasted_s = self._restless_at_s - self._restless_since_s
            at_last_s = min(
                self._restless_at_s + min(max(QUIET_S, lasted_s / 2), LONGEST_QUIET_S), at_last_s
            )
        return max(at_last_s, self._held_until_s)

    @property
    def _is_told(self) -> bool:
        """Whether what goes on is notified, so that quiet means something."""
        return self._watcher.notified and not self._is_found

    def _begin(self, now_s: float, incumbents: Callable[[], Incumbents]) -> None:
        assert self._restless_since_s is not None
        if is_being_changed(self._folder) and now_s - self._restless_since_s < PATIENCE_S:
            self._held_until_s = now_s + _RETRY_S
            return
        self._restless_since_s = self._glance_at_s = None
        self._is_still = self._is_glanced = self._is_found = False
        self._ask()
        self._scan = self._read(incumbents())

    def _begin_glance(self, now_s: float) -> None:
        self._glance_at_s = now_s + _RETRY_S
        if not is_being_changed(self._folder):
            self._ask()
            self._glance, self._glance_at_s = self._reader.glance(), None

    def _end_glance(self, *, is_different: bool) -> None:
        """Take the folder for still if nothing has changed since the last glance; else
        glance again, later.
        """
        if self._is_glanced and not is_different:
            self._is_still = True
        else:
            self._is_glanced = True
            self._glance_at_s = self._clock.elapsed_s() + (
                GLANCE_EVERY_S if self._is_told else QUIET_S
            )

    def _resync(self) -> None:
        """Look a slice further whether any file is another; then rest, so that it takes
        no more than its share.
        """
        begun_s = self._clock.elapsed_s()
        if self._scan is not None or self._restless_since_s is not None:
            self._look, self._look_ends_s = (
                None,
                begun_s + self._resync_every_s,
            )  # a scan sees all that a look would
        elif self._look is None:
            self._look, self._look_ends_s = self._reader.look(), begun_s + self._resync_every_s
        is_whole = self._look is None or self._look_on(self._look)
        now_s = self._clock.elapsed_s()
        rested_s = now_s + (now_s - begun_s) * (
            RESYNC_SHARE if self._watcher.notified else RESYNC_UNNOTIFIED_SHARE
        )
        self._resync_at_s = max(rested_s, self._look_ends_s) if is_whole else rested_s

    def _look_on(self, look: Generator[None, None, bool]) -> bool:
        """Do a slice of a look; tell whether it was the last."""
        try:
            next(look)
        except StopIteration as end:
            self._look = None
            if end.value:
                self._is_found = True
                self.look_again()
            return True
        return False

    @property
    def _resync_every_s(self) -> float:
        return RESYNC_EVERY_S if self._watcher.notified else RESYNC_UNNOTIFIED_S
