"""Compares the whole jobs folder with what is known of it, slowly, again and again.

This finds changes that caused no notification.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from runner.system.clock import Clock

EVERY_S = 5.0
UNNOTIFIED_S = 1.0
SHARE, UNNOTIFIED_SHARE = 500, 20
"""A resync works in slices, and each slice is followed by a rest this many times as long.

So a resync of many files takes long but little CPU time.
"""


class Resync:
    """When to look at the next files. `at_s` is in elapsed seconds."""

    def __init__(self, clock: Clock) -> None:
        self.at_s = 0.0
        self._clock = clock
        self._look: Generator[None, None, bool] | None = None
        self._ends_s = 0.0

    def drop(self) -> None:
        """Begin anew, because the files are read by another reader."""
        self._look = None

    def advance(self, look: Callable[[], Generator[None, None, bool]], *, notified: bool) -> bool:
        """Look at some files; return whether a complete look found a difference.

        `look` begins a look at all files. `notified` says whether changes are notified.
        """
        begun_s = self._clock.elapsed_s()
        if self._look is None:
            self._look, self._ends_s = look(), begun_s + (EVERY_S if notified else UNNOTIFIED_S)
        is_different = self._ends_with()
        now_s = self._clock.elapsed_s()
        rested_s = now_s + (now_s - begun_s) * (SHARE if notified else UNNOTIFIED_SHARE)
        self.at_s = rested_s if is_different is None else max(rested_s, self._ends_s)
        return bool(is_different)

    def _ends_with(self) -> bool | None:
        """Do one slice; return the result of the look, None before its end."""
        assert self._look is not None, "a look has begun"
        try:
            next(self._look)
        except StopIteration as end:
            self._look = None
            return bool(end.value)
        return None
