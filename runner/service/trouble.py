"""What hinders the runner: it is left alone for a while, and a person is told once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from loguru import logger

from runner.service.clock import Clock
from runner.system.regular_files import read_regular
from runner.values import neutral

RETRY_S = 1.0
"""How long a store or a log that refused is left alone."""
_NOTE_BYTES = 4096


class HoldOff:
    """Is on for `RETRY_S` after `begin`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_s = 0.0

    def begin(self) -> None:
        """Leave it alone from now on, for a while."""
        self._until_s = self._clock.elapsed_s() + RETRY_S

    @property
    def is_on(self) -> bool:
        """Whether it is still to be left alone."""
        return self.left_s > 0

    @property
    def left_s(self) -> float:
        """How long it still is."""
        return max(self._until_s - self._clock.elapsed_s(), 0.0)


class TroubleNote:
    """A file beside the store that says why nothing fires: for `status` and `doctor`,
    and for the next start.

    The store itself cannot say it. The file is made at the start, in full length, and
    only overwritten: that works on a full disk. Everything here is best effort all the
    same.
    """

    def __init__(self, state: Path) -> None:
        self._path = state / "trouble"
        self._text: str | None = None

    def read(self) -> str | None:
        """Return what a runner has left there; None if nothing."""
        with suppress(OSError):
            text = read_regular(self._path, at_most=_NOTE_BYTES).decode(errors="ignore")
            return neutral(text.strip()) or None
        return None

    def take(self) -> str | None:
        """Return what a former runner has left there, and overwrite it with nothing."""
        left = self.read()
        self._overwrite("")
        return left

    def write(self, text: str | None) -> None:
        """Leave another text there, or none, if it differs from the last call's."""
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


class Complaints:
    """Says on the console what is in trouble, when that changes, and when it works again."""

    def __init__(self) -> None:
        self._known: Mapping[str, str | None] = {}

    def tell(self, troubles: Mapping[str, str | None]) -> None:
        """Compare with the last call; `troubles` has for each thing why it does not work, or None."""
        for what, trouble in troubles.items():
            if trouble == self._known.get(what):
                continue
            if trouble:
                logger.warning("{}", trouble)
            else:
                logger.info("{} works again", what)
        self._known = troubles
