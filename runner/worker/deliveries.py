"""Procrastinate's worker in a thread: it says when jobs wait in the worker's queues.

It registers, listens, and polls. A job says which execution waits; the row of its dispatch
decides who runs it, and one statement takes several and ends their jobs (`worker_side.take`).
So nothing of Procrastinate lives as long as a process. Its loop does not survive an outage
of the database. Then it starts again with a fresh registration.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Event
from typing import Any

from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Job
from procrastinate.manager import JobManager

from runner.system.threads import OwnThread

_POLL_S = 2.0
"""How often to look for jobs without a notification."""
_LOOK_S = 1.0
_BEAT_S, _SILENT_S = 5.0, 30.0
"""How often the registration is renewed, and when Procrastinate counts it as dead."""
_END_S = 2.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_SIDE_TASKS = {"listener", "update_heartbeats"}
"""Procrastinate's own tasks. It goes on without one that failed, so this module looks."""


class Deliveries:
    """Says when jobs were delivered, or may have been."""

    def __init__(self, conninfo: str, queues: Iterable[str], look: Callable[[], None]) -> None:
        """`conninfo` is a connection string of libpq; `look` is called in another thread."""
        self._conninfo = conninfo
        self._queues = list(queues)  # the database takes no tuple
        self._look = look
        self._is_closed = Event()
        self._stop: Callable[[], object] | None = None
        self._thread = OwnThread(target=self._run, name="deliveries", daemon=True)
        self.trouble: str | None = None
        """Why no deliveries arrive, in words; None if they do."""

    def start(self) -> None:
        """Begin to listen."""
        _silence()
        self._thread.start()

    def close(self, within_s: float) -> None:
        """Listen no more, and wait for a moment until the registration is gone."""
        self._is_closed.set()
        if (stop := self._stop) is not None:
            with suppress(RuntimeError):
                stop()
        if self._thread.is_alive():
            self._thread.join(within_s)

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._is_closed.is_set():
            try:
                asyncio.run(self._serve())
                pause_s = _FIRST_PAUSE_S
            except Exception as error:  # noqa: BLE001 - whatever it was, it starts again
                self.trouble = _cause_of(error)
            self._is_closed.wait(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _serve(self) -> None:
        """Serve one registration until it fails or this is closed."""
        # A task that fails unobserved would print a traceback; `_watch` sees what matters.
        asyncio.get_running_loop().set_exception_handler(self._note_failure)
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        connector = PsycopgConnector(
            conninfo=self._conninfo,
            min_size=1,
            max_size=3,
            timeout=10.0,
            # A pool such as PgBouncer may send each statement to another session.
            kwargs={"prepare_threshold": None},
        )
        app = App(connector=connector)
        app.job_manager = _Manager(connector, self._look)
        async with app.open_async():
            await self._watch(app, stopped)

    async def _watch(self, app: App, stopped: asyncio.Event) -> None:
        """Run Procrastinate's worker, and end it when a part of it has failed."""
        worker = asyncio.create_task(
            app.run_worker_async(
                queues=self._queues,
                fetch_job_polling_interval=_POLL_S,
                shutdown_graceful_timeout=_END_S,
                install_signal_handlers=False,
                update_heartbeat_interval=_BEAT_S,
                stalled_worker_timeout=_SILENT_S,
            )
        )
        stop = asyncio.create_task(stopped.wait())
        await asyncio.wait([worker, stop], timeout=_LOOK_S)
        while not (worker.done() or stop.done()):
            names = {task.get_name() for task in asyncio.all_tasks()}
            if not names >= _SIDE_TASKS:
                self.trouble = "the connection that waits for jobs broke"
                break
            self.trouble = None
            await asyncio.wait([worker, stop], timeout=_LOOK_S)
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker

    def _note_failure(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.trouble = _cause_of(context.get("exception")) or str(context.get("message"))


class _Manager(JobManager):
    """Fetches nothing: the connection of the worker takes several jobs at once."""

    def __init__(self, connector: PsycopgConnector, look: Callable[[], None]) -> None:
        super().__init__(connector)
        self._look = look

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:  # noqa: ARG002
        self._look()
        return None


def _cause_of(error: BaseException | None) -> str:
    """Return what went wrong, in one line. Procrastinate itself says only "Database error."."""
    cause = error and (error.__cause__ or error)
    return (" ".join(str(cause).split()) or type(cause).__name__) if cause else ""


def _silence() -> None:
    """Keep the libraries from printing: `trouble` says what went wrong."""
    for name in ("asyncio", "procrastinate", "psycopg"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
