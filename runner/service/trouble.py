"""What hinders the runner: it is left alone for a while, and a person is told once."""

from __future__ import annotations

from collections.abc import Mapping

from loguru import logger

from runner.service.clock import Clock

RETRY_S = 1.0
"""How long a store or a log that refused is left alone."""


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
