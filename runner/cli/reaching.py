"""Whoever owns the store does it: a runner that is asked, or, where none is running,
this very command.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from runner.cli.ownership import require_own
from runner.cli.places import Places
from runner.commands import Answer, Command, ask
from runner.errors import NoRunnerError, StoreInUseError
from runner.store.database import owner_pid

Result = TypeVar("Result")
PATIENCE_S = 10.0
_PAUSE_S = 0.05


def reach(
    places: Places,
    command: Command,
    *,
    served: Callable[[Answer], Result],
    alone: Callable[[], Result],
) -> Result:
    """Return what `served` makes of a runner's answer, or, where nobody owns the store,
    what `alone` returns.

    Who owns it may change while we look: another of these commands, say, that has just
    finished. Raises NoRunnerError or StoreInUseError if there is no end of that.
    """
    give_up_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            if owner_pid(places.state) is None:
                return alone()
            answer = asked(places, command)
        except (NoRunnerError, StoreInUseError):
            if time.monotonic() > give_up_s:
                raise
            time.sleep(_PAUSE_S)
        else:
            return served(answer)


def asked(places: Places, command: Command) -> Answer:
    """Return the runner's answer. Raises as `ask`, and StoreError if the runner serves
    another folder than is at hand.

    Who is nowhere near a jobs folder means the one that the runner serves.
    """
    require_own(places)
    return ask(places.state, command)
