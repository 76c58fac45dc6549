"""Problems of the runner: what to do about them, and how to report each one once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from runner.system.clock import Clock
from runner.system.regular_files import read_regular
from runner.values import neutral

RETRY_S = 1.0
"""How long to leave a store or a log alone after it refused, in seconds."""
_NOTE_BYTES = 4096
ALIVE = "alive"
"""The key in the store's meta table for the pid of a runner that has recorded no stop.

Empty after an orderly stop. If nobody owns the store and it is not, that runner was killed.
"""
UNSETTLED = "unsettled"
"""The key in the store's meta table that says whether the runner's requests differ from the
files that it read: "1" if a document is rejected or the folder shows no files, otherwise
empty.
"""


class Cooldown:
    """The time in which the loop leaves alone what has failed: `lasts_s` seconds after `begin`."""

    def __init__(self, clock: Clock, *, lasts_s: float = RETRY_S) -> None:
        self._clock = clock
        self._lasts_s = lasts_s
        self._until_s: float | None = None

    def begin(self) -> None:
        """Begin the pause now."""
        self._until_s = self._clock.elapsed_s() + self._lasts_s

    @property
    def is_on(self) -> bool:
        """Whether the pause lasts."""
        return self.left_s > 0

    @property
    def left_s(self) -> float:
        """How long the pause still lasts, in seconds."""
        if self._until_s is None:
            return 0.0
        return max(self._until_s - self._clock.elapsed_s(), 0.0)


class TroubleNote:
    """A file beside the store that says why nothing fires.

    `status`, `doctor` and the next start read it, because a broken store cannot say it.
    The start creates the file in its full length; later writes overwrite it, which works
    on a full disk. All of this is best effort.
    """

    def __init__(self, state: Path) -> None:
        self._path = state / "trouble"
        self._text: str | None = None

    def read(self) -> str | None:
        """Return the text that a runner left; None without one."""
        with suppress(OSError):
            text = read_regular(self._path, at_most=_NOTE_BYTES).decode(errors="ignore")
            return neutral(text.strip()) or None
        return None

    def take(self) -> str | None:
        """Return the text that a former runner left, and clear the file."""
        left = self.read()
        self._overwrite("")
        return left

    def write(self, text: str | None) -> None:
        """Write a text, or clear the file, if this differs from the last call."""
        if text == self._text:
            return
        self._text = text
        self._overwrite(text or "")

    def _overwrite(self, text: str) -> None:
        with suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
            try:
                os.pwrite(
                    descriptor, text.encode()[: _NOTE_BYTES - 1].ljust(_NOTE_BYTES - 1) + b"\n", 0
                )
            finally:
                os.close(descriptor)


class TroubleReports:
    """Reports each problem on the console when it begins, changes or ends."""

    def __init__(self) -> None:
        self._known: Mapping[str, str | None] = {}

    def report(self, troubles: Mapping[str, str | None]) -> None:
        """Report the differences to the last call.

        `troubles` maps the name of each thing to its problem, or to None.
        """
        if troubles == self._known:  # as in almost every turn
            return
        for what, trouble in troubles.items():
            if trouble == self._known.get(what):
                continue
            from loguru import logger  # not needed by the commands that read a `TroubleNote`

            if trouble:
                logger.warning("{}", trouble)
            else:
                logger.info("{} works again", what)
        self._known = troubles
