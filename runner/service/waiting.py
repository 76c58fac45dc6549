"""Small notes of the loop: what is left alone for a while, and who waits for a reload."""

from __future__ import annotations

from collections.abc import Iterable

from runner.commands import Command
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


class ReloadRequests:
    """Reload commands by the id of their row; each is answered by a reading that began after it came."""

    def __init__(self) -> None:
        self._commands: dict[str, tuple[Command, float]] = {}

    def add(self, row: str, command: Command, at_s: float) -> None:
        """Note a command that came at `at_s` (elapsed seconds)."""
        self._commands[row] = (command, at_s)

    def before(self, begun_s: float) -> dict[str, Command]:
        """Return those that a reading begun at `begun_s` answers."""
        return {row: command for row, (command, at_s) in self._commands.items() if at_s <= begun_s}

    def forget(self, rows: Iterable[str]) -> None:
        """Strike out answered ones."""
        for row in rows:
            del self._commands[row]
