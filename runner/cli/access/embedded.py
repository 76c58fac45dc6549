"""The runner service inside a command, with firing turned off. `exec` and the buttons
use it when no runner is running.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from loguru import logger

from runner.access.places import Places
from runner.cli.output.tables import echo_error
from runner.service.loop import Runner, running
from runner.service.runner_settings import Settings
from runner.system.clock import SystemClock


@contextmanager
def embedded(
    places: Places,
    observer: Callable[[dict[str, Any]], None] = lambda _: None,
    *,
    allow_shared_jobs: bool,
) -> Iterator[Runner]:
    """Own the store and the jobs folder for the duration of a command, with the requests
    loaded.

    `observer` receives the monitor records. Raises StoreError and its subclasses, and
    RefusedError if a runner with another store serves the jobs folder.
    """
    # The service logs through loguru; here its warnings look like the command's own errors.
    logger.remove()
    logger.add(
        lambda message: echo_error(message.record["message"]),
        level="WARNING",
        diagnose=False,
        backtrace=False,
    )
    settings = Settings(
        jobs=places.jobs,
        state=places.state,
        url=places.store.url,
        monitor_log=places.monitor_log,
        zone=places.zone,
        max_running=places.settings.max_running,
        alerts=places.settings.alerts,
        allow_shared_jobs=allow_shared_jobs,
    )
    with running(settings, SystemClock(), observer=observer, is_firing=False) as runner:
        runner.start()
        yield runner
