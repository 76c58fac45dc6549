"""The contents of pages that viewers share, so that a hundred of them cost as much as one.

All viewers with the same scope and role share a content for a second. One that several
people look at is computed anew by a thread, while they see the one before. Reads the
clock.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import BoundedSemaphore, Lock

from loguru import logger
from starlette.exceptions import HTTPException

from runner.errors import RunnerError
from runner.system.threads import OwnThread
from runner.web.pages.rendering import Rendered
from runner.web.shared import fresh_for_s

_FRESH_S = 1.0
"""How old, in seconds, a content may be, unless it takes long to compute."""
_OLDEST_S = 10.0
"""The same for one that takes long."""
_STALE_S = 5.0
"""How much older it may be while a new one is computed, unless that takes long."""
_STALEST_S = 10.0
_PATIENCE = 4
"""How often the time of a computation a content may be older than fresh."""
_POPULAR_S = 1.0
"""Whoever looks this soon after another one, in seconds, waits for no new content."""
_MOST_KEPT = 128
_AT_ONCE = 2
"""How many contents are computed at the same time. More would only slow each other down."""
_REST = 4
"""How much longer than it computed the thread rests: it takes a fifth of a processor."""
_LONGEST_PAUSE_S = 5.0
Compute = Callable[[], Rendered]


class Contents:
    """The contents by address and by what their viewers may see. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[object, _Kept] = OrderedDict()
        self._turns = BoundedSemaphore(_AT_ONCE)
        self._due: SimpleQueue[tuple[_Kept, Compute]] = SimpleQueue()
        self._thread: OwnThread | None = None

    def at_hand(self, key: object, compute: Compute) -> Rendered | None:
        """Return a content that can be shown at once; None if its viewer must wait for it.

        A viewer who is alone waits for what is new. Of several, none waits: a thread
        computes the content anew.
        """
        kept = self._kept_for(key)
        shown, is_due = kept.at_hand()
        if is_due:
            self._due.put((kept, compute))
            self._start()
        return shown

    def rendered(self, key: object, compute: Compute) -> Rendered:
        """Return a content, at most a second old, or little more while another thread
        computes it anew. Raises what `compute` raises.
        """
        return self._kept_for(key).value(compute, self._turns)

    def _kept_for(self, key: object) -> _Kept:
        with self._lock:
            kept = self._kept.setdefault(key, _Kept())
            self._kept.move_to_end(key)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return kept

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = OwnThread(target=self._run, name="contents", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            kept, compute = self._due.get()
            began_s = time.monotonic()
            try:
                # An error is for the next viewer, for whom the content is computed again.
                with suppress(RunnerError, HTTPException):
                    kept.value(compute, self._turns)
            except Exception:  # noqa: BLE001 - this thread serves all viewers: it goes on
                logger.exception("a page could not be computed")
            # The event loop answers all viewers, and the runner comes first.
            time.sleep(min((time.monotonic() - began_s) * _REST, _LONGEST_PAUSE_S))


@dataclass(frozen=True, slots=True)
class _Known:
    """A content, when its computation began, and how long that took."""

    rendered: Rendered
    since_s: float
    took_s: float

    @property
    def is_fresh(self) -> bool:
        """Whether it needs no computation yet."""
        return time.monotonic() - self.since_s < self._fresh_s

    @property
    def is_usable(self) -> bool:
        """Whether it may be shown while a new one is computed."""
        stale_s = min(max(_STALE_S, self.took_s * _PATIENCE), _STALEST_S)
        return time.monotonic() - self.since_s < self._fresh_s + stale_s

    @property
    def _fresh_s(self) -> float:
        return fresh_for_s(self.took_s, least_s=_FRESH_S, most_s=_OLDEST_S)


class _Kept:
    """One content. Only the thread that computes it waits, unless it is rather old."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: _Known | None = None
        self._asked_s = float("-inf")
        self._is_due = False

    def at_hand(self) -> tuple[Rendered | None, bool]:
        """Return what can be shown at once, and whether the caller must have it computed."""
        now_s = time.monotonic()
        is_popular, self._asked_s = now_s - self._asked_s < _POPULAR_S, now_s
        if (fresh := self._fresh()) is not None:
            return fresh, False
        stale = self._stale() if is_popular else None
        if stale is None or self._is_due:
            return stale, False
        self._is_due = True
        return stale, True

    def value(self, compute: Compute, turns: BoundedSemaphore) -> Rendered:
        stale = self._fresh() or self._stale()
        if not self._lock.acquire(blocking=stale is None):
            assert stale is not None
            return stale
        try:
            self._is_due = False
            return self._fresh() or self._computed(compute, turns)
        except BaseException:
            self._known = None  # nobody may take the old content for a new one
            raise
        finally:
            self._lock.release()

    def _computed(self, compute: Compute, turns: BoundedSemaphore) -> Rendered:
        with turns:
            began_s = time.monotonic()
            rendered = compute()
        self._known = _Known(rendered, began_s, time.monotonic() - began_s)
        return rendered

    def _fresh(self) -> Rendered | None:
        known = self._known
        return known.rendered if known and known.is_fresh else None

    def _stale(self) -> Rendered | None:
        known = self._known
        return known.rendered if known and known.is_usable else None
