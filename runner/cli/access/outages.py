"""The patience of a command whose execution goes on while a fleet's database or leader is
away. Reads the clock; writes stderr.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from runner.cli.output.tables import echo
from runner.errors import NoRunnerError, StoreUnwritableError

Result = TypeVar("Result")
_LONGEST_S = 300.0
"""How long an outage may last, in seconds."""
_LOOK_EVERY_S = 0.1


class Outage:
    """Waits for the end of an outage, and reports the first one."""

    def __init__(self, execution: str, *, is_in_fleet: bool) -> None:
        """Outside of a fleet there is no patience."""
        self._execution = execution
        self._is_in_fleet = is_in_fleet
        self._is_reported = False

    def outlast(self, action: Callable[[], Result]) -> Result:
        """Return the result of an action; repeat it while it meets an outage.

        Raises NoRunnerError after five minutes, and at once what else the action raises.
        """
        until_s = time.monotonic() + _LONGEST_S
        while True:
            try:
                return action()
            except (StoreUnwritableError, NoRunnerError) as error:
                if not self._is_in_fleet:
                    raise
                if time.monotonic() > until_s:
                    raise NoRunnerError(f"{error}; {later_words(self._execution)}") from error
                self._report(error)
            time.sleep(_LOOK_EVERY_S)

    def _report(self, error: Exception) -> None:
        if not self._is_reported:
            self._is_reported = True
            words = f"{error}; {self._execution} goes on, and this command waits for it"
            echo(f"runner: {words}", err=True)


def later_words(execution: str) -> str:
    """Return how to learn later what became of an execution."""
    return f"`runner monitor` shows later how {execution} ended"
