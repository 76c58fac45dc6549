"""The same service with firing off, inside a command: what `exec` and the buttons use
where no runner is running.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from loguru import logger

from runner.cli.places import Places
from runner.service.clock import SystemClock
from runner.service.loop import Runner
from runner.service.settings import Settings


@contextmanager
def embedded(
    places: Places, observer: Callable[[dict[str, Any]], None] = lambda _: None
) -> Iterator[Runner]:
    """Own the store for the length of a command, with the requests of the jobs folder in force.

    Its records go to `observer`. Raises StoreError and its kinds.
    """
    # What hinders it is told like all that a command has to say.
    logger.remove()
    logger.add(
        sys.stderr, format="runner: {message}", level="WARNING", diagnose=False, backtrace=False
    )
    settings = Settings(
        jobs=places.jobs,
        state=places.state,
        monitor_log=places.monitor_log,
        zone=places.zone,
        max_running=places.settings.max_running,
    )
    with Runner(settings, clock=SystemClock(), observer=observer, is_firing=False) as runner:
        runner.start()
        yield runner
