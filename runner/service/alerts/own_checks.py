"""The checks of the runner itself. Reads the file system's free space."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from runner.lifecycle import Check
from runner.planning.alerts.check_states import Fact, News
from runner.planning.alerts.expectations import COUNTED
from runner.service.alerts.alerts import Alerts
from runner.system.clock import Clock
from runner.values import listed, size_text

LEAST_FREE = 0.05
"""The part of a file system that should be free."""
LOOK_EVERY_S = 0.25
"""How often to look at all, in seconds. A look takes a sixth of an idle turn."""
DISK_EVERY_S = 60.0
"""How often to look at the free space, in seconds."""

Troubles = Callable[[], Mapping[Check, str | None]]
"""Returns what is wrong with each part of the runner; None for what works.

A part whose state is still unknown is left out, and its alert stays as it is. A former runner,
or the former leader of a fleet, may have opened it.
"""


_MOST_NAMED = 10


class OwnChecks:
    """Finds troubles of the runner that have no alert yet, and alerts whose trouble is over.

    While the store refuses, nothing can be decided. So an alert about the store opens when
    the store works again, and closes at once; its `since` is when the trouble began.
    """

    def __init__(self, alerts: Alerts, troubles: Troubles, state: Path, clock: Clock) -> None:
        self._alerts = alerts
        self._troubles = troubles
        self._state = state
        self._clock = clock
        self._next_look_s = self._next_disk_s = 0.0
        self._disk: dict[Check, str | None] = {}
        self._store: News | None = None

    def note_store(self, trouble: str | None) -> None:
        """Note that the store refuses."""
        if trouble is not None and self._store is None:
            self._store = News(fact=Fact.BROKEN, at=self._clock.now(), message=trouble)

    def look(self, now_s: float, *, is_store_sound: bool) -> list[tuple[Check, News]]:
        """Return the news about the runner at `now_s`, in elapsed seconds.

        A later look repeats what was not committed.
        """
        if now_s < self._next_look_s:
            return []
        self._next_look_s = now_s + LOOK_EVERY_S
        if now_s >= self._next_disk_s:
            self._next_disk_s = now_s + DISK_EVERY_S
            self._look_at_disk()
        now, checks = self._clock.now(), self._alerts.of(None)
        found = []
        for check, trouble in {**self._troubles(), **self._disk}.items():
            if trouble is not None and check not in checks:
                fact = Fact.COUNTING if check in COUNTED else Fact.BROKEN
                found.append((check, News(fact=fact, at=now, message=trouble)))
            elif trouble is None and check in checks:
                found.append((check, News(fact=Fact.WORKS, at=now, message="it is over")))
        if self._store is not None and is_store_sound:
            over = News(fact=Fact.WORKS, at=now, message="the store is writable again")
            found += [(Check.STORE, self._store), (Check.STORE, over)]
        return found

    def accept(self, news: list[tuple[Check, News]]) -> None:
        """Note that news were committed."""
        if any(check is Check.STORE for check, _ in news):
            self._store = None

    def _look_at_disk(self) -> None:
        with suppress(OSError):  # the store is on the same disk, and reports the trouble
            disk = os.statvfs(self._state)
            words = _full_words(self._state, disk.f_bavail, disk.f_blocks, disk.f_frsize)
            self._disk = {Check.DISK: words}


def _full_words(path: Path, free: int, blocks: int, block_bytes: int) -> str | None:
    """Return that a file system is almost full; None if it is not.

    >>> _full_words(Path("/state"), 4 * 256, 100 * 256, 4096)
    'the disk of /state is almost full: 4MiB of 100MiB are free'
    """
    if free >= blocks * LEAST_FREE:
        return None
    left, whole = (size_text(count * block_bytes >> 20 << 20) for count in (free, blocks))
    return f"the disk of {path} is almost full: {left} of {whole} are free"


def unserved_words(queues: Sequence[str]) -> str | None:
    """Return that no live worker serves some queues; None without any.

    >>> unserved_words(["gpu", "reports"])
    'no live worker serves the queues gpu, reports'
    """
    if not queues:
        return None
    noun = "queue" if len(queues) == 1 else "queues"
    return f"no live worker serves the {noun} {listed(queues, _MOST_NAMED)}"
