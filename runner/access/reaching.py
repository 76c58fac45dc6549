"""Carry out a command that changes the store: through the running runner if there is
one, otherwise in this process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from runner.access.ownership import no_runner_words, require_own
from runner.access.places import Places
from runner.commands import Answer, Command, ask
from runner.errors import NoRunnerError, StoreInUseError
from runner.store.opening import owner_of

Result = TypeVar("Result")
PATIENCE_S = 10.0  # how long the owner of the store may keep changing
_PAUSE_S = 0.05


def reach(
    places: Places,
    command: Command,
    *,
    served: Callable[[Answer], Result],
    alone: Callable[[], Result],
) -> Result:
    """Return `served(answer)` if a runner answers, or `alone()` if nobody owns the
    store.

    A store in PostgreSQL belongs to a fleet: this machine may have another jobs folder, and
    what runs is on the workers. So without a leader nobody acts there: NoRunnerError.

    The owner may change between the check and the attempt, for example when another
    command has just finished. The function then tries again for up to PATIENCE_S
    seconds, and after that raises NoRunnerError or StoreInUseError.
    """
    give_up_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            # The owner can change after this look: `alone` then raises StoreInUseError,
            # `asked` NoRunnerError, and the loop looks again.
            if places.store.url is None and owner_of(places.store) is None:
                return alone()
            answer = asked(places, command)
        except (NoRunnerError, StoreInUseError):
            if places.store.url is not None or time.monotonic() > give_up_s:
                raise
            time.sleep(_PAUSE_S)
        else:
            return served(answer)


def asked(places: Places, command: Command) -> Answer:
    """Return the runner's answer.

    Raises the errors of `ask`, and StoreError if the runner serves another jobs folder.
    A caller with no jobs folder at hand means the folder that the runner serves.
    """
    require_runner(places)
    return ask(places.store, command)


def require_runner(places: Places) -> None:
    """Raise NoRunnerError without a runner, and StoreError if it serves another jobs folder."""
    require_own(places)
    if owner_of(places.store) is None:
        raise NoRunnerError(no_runner_words(places))
