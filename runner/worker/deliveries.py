"""Procrastinate's worker in a thread: it only leaves notes that executions wait for a worker.

A job says which execution waits; the row of its dispatch decides who runs it. A job is over
as soon as that is decided, so nothing of Procrastinate lives as long as a process. Its loop
does not survive an outage of the database. Then it starts again with a fresh registration.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from secrets import randbits
from threading import Event
from typing import Any
from uuid import UUID

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.jobs import Job
from procrastinate.manager import JobManager

from runner.store.postgres.worker_side import TASK, Delivery
from runner.system.threads import OwnThread
from runner.worker.room import Room

_POLL_S = 2.0
"""How often to look for jobs without a notification."""
_LOOK_S = 1.0
_BEAT_S, _SILENT_S = 5.0, 30.0
"""How often the registration is renewed, and when Procrastinate counts it as dead."""
_END_S = 2.0
_MOST_UNDECIDED = 100
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_SIDE_TASKS = {"listener", "update_heartbeats"}
"""Procrastinate's own tasks. It goes on without one that failed, so this module looks."""


class Note:
    """An execution that waits for a worker. It occupies a place of the `Room`."""

    def __init__(self, delivery: Delivery, decided: Callable[[bool], None]) -> None:
        self.delivery = delivery
        self._decided = decided

    def answer(self, *, is_handed_back: bool = False) -> None:
        """End the job. With `is_handed_back`, another job offers the same to any worker."""
        with suppress(RuntimeError):  # the loop has ended; the leader will offer it anew
            self._decided(is_handed_back)


class Deliveries:
    """Leaves a note for each delivered job; any thread may `take` them."""

    def __init__(
        self,
        conninfo: str,
        queues: Iterable[str],
        room: Room,
        wake: Callable[[], None],
    ) -> None:
        """`conninfo` is a connection string of libpq; `wake` is called for each note."""
        self._conninfo = conninfo
        self._queues = list(queues)  # the database takes no tuple
        self._room = room
        self._wake = wake
        self._notes: deque[Note] = deque()
        self._is_closed = Event()
        self._stop: Callable[[], None] | None = None
        self._thread = OwnThread(target=self._run, name="deliveries", daemon=True)
        self.trouble: str | None = None
        """Why no deliveries arrive, in words; None if they do."""

    def start(self) -> None:
        """Begin to take deliveries."""
        _silence()
        self._thread.start()

    def take(self) -> list[Note]:
        """Return the notes since the last call."""
        taken = []
        while self._notes:
            taken.append(self._notes.popleft())
        return taken

    def close(self, within_s: float) -> None:
        """Take no more deliveries, and wait for a moment until the registration is gone."""
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
        service = _Service(self._room, self._leave)
        self._stop = service.stop_soon
        connector = PsycopgConnector(
            conninfo=self._conninfo,
            min_size=1,
            max_size=3,
            timeout=10.0,
        )
        app = App(connector=connector)
        app.job_manager = _Manager(connector, service)
        app.task(name=TASK, pass_context=True)(service.execute)
        try:
            async with app.open_async():
                await self._watch(app, service)
        finally:
            service.end()

    async def _watch(self, app: App, service: _Service) -> None:
        """Run Procrastinate's worker, and end it when a part of it has failed."""
        worker = asyncio.create_task(
            app.run_worker_async(
                queues=self._queues,
                # The room bounds what runs. This bounds only the decisions under way.
                concurrency=_MOST_UNDECIDED,
                fetch_job_polling_interval=_POLL_S,
                shutdown_graceful_timeout=_END_S,
                delete_jobs="always",
                install_signal_handlers=False,
                update_heartbeat_interval=_BEAT_S,
                stalled_worker_timeout=_SILENT_S,
            )
        )
        stopped = asyncio.create_task(service.stopped.wait())
        await asyncio.wait([worker, stopped], timeout=_LOOK_S)
        while not (worker.done() or stopped.done()):
            names = {task.get_name() for task in asyncio.all_tasks()}
            if not names >= _SIDE_TASKS:
                self.trouble = "the connection that waits for jobs broke"
                break
            self.trouble = None
            await asyncio.wait([worker, stopped], timeout=_LOOK_S)
        service.stop()
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker

    def _note_failure(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.trouble = _cause_of(context.get("exception")) or str(context.get("message"))

    def _leave(self, note: Note) -> None:
        self._notes.append(note)
        self._wake()


class _Service:
    """What the tasks of one registration with Procrastinate share, in its loop."""

    def __init__(self, room: Room, leave: Callable[[Note], None]) -> None:
        self._room = room
        self._leave = leave
        self._loop = asyncio.get_running_loop()
        self._reserved = 0
        self._freed = asyncio.Event()
        self.stopped = asyncio.Event()
        room.when_free(partial(self._loop.call_soon_threadsafe, self._freed.set))

    async def reserve(self) -> bool:
        """Wait for a place, and reserve it; return False if the service stops first."""
        while not self.stopped.is_set():
            self._freed.clear()
            if self._room.reserve():
                self._reserved += 1
                return True
            await self._freed.wait()
        return False

    def give_back(self) -> None:
        """Give a reserved place back."""
        self._reserved -= 1
        self._room.give_back()

    async def execute(self, context: JobContext, execution: str, dispatch: str) -> None:
        """Leave a note, and wait until it is decided who runs the execution."""
        assert context.job.id is not None
        decided: asyncio.Future[bool] = self._loop.create_future()

        def decide(is_handed_back: bool) -> None:
            self._loop.call_soon_threadsafe(_settle, decided, is_handed_back)

        self._reserved -= 1
        self._leave(Note(Delivery(execution, dispatch, take_for(context.job.id)), decide))
        if await decided:
            await context.app.job_manager.defer_job_async(_again(context.job))

    def stop_soon(self) -> None:
        """Stop, from another thread. Raises RuntimeError if the loop is closed."""
        self._loop.call_soon_threadsafe(self.stop)

    def stop(self) -> None:
        """Let nothing be fetched any more."""
        self.stopped.set()
        self._freed.set()

    def end(self) -> None:
        """Give back the places of jobs that were fetched and left no note."""
        self._room.when_free(None)
        while self._reserved > 0:
            self.give_back()


class _Manager(JobManager):
    """Fetches a job only when there is a place for its execution."""

    def __init__(self, connector: PsycopgConnector, service: _Service) -> None:
        super().__init__(connector)
        self._service = service

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        if not await self._service.reserve():
            return None
        job = None
        try:
            job = await super().fetch_job(queues, worker_id)
        finally:
            if job is None:
                self._service.give_back()
        return job


def take_for(job: int) -> str:
    """Return a random token for a take: a UUID that begins with the number of the job.

    A later job has a higher number, so `token_of` orders the attempts at the same work.

    >>> token_of(take_for(7))
    7
    """
    return str(UUID(int=job << 64 | randbits(64)))


def token_of(take: str) -> int:
    """Return the number of the job by which a take came."""
    return UUID(take).int >> 64


def _cause_of(error: BaseException | None) -> str:
    """Return what went wrong, in one line. Procrastinate itself says only "Database error."."""
    cause = error and (error.__cause__ or error)
    return (" ".join(str(cause).split()) or type(cause).__name__) if cause else ""


def _settle(decided: asyncio.Future[bool], is_handed_back: bool) -> None:
    if not decided.done():
        decided.set_result(is_handed_back)


def _again(job: Job) -> Job:
    return job.evolve(id=None, status=None, worker_id=None, attempts=0)


def _silence() -> None:
    """Keep the libraries from printing: `trouble` says what went wrong."""
    for name in ("asyncio", "procrastinate", "psycopg"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
