"""Follows the monitor log once for all event streams, in a thread of its own.

A stream that does not keep up is ended: its reader connects again, and gets what it
missed from the log.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Condition, Event, Lock

from runner.errors import RunnerError
from runner.monitor.reading import Filter, Record, follow
from runner.monitor.scanning import LogFile, backwards
from runner.system.threads import OwnThread

_POLL_S = 0.2
_RETRY_S = 2.0
_LOOK_S = 0.05
_MOST_WAITING = 200
"""How many batches a stream may have waiting."""
_MOST_REMEMBERED = 2_000
"""How many records may be repeated to readers that connect again."""
_EVERYTHING = Filter(events=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A record, and its text in an event stream, made once for all."""

    record: Record
    frame: bytes


@dataclass(slots=True, kw_only=True, eq=False)
class Subscriber:
    """A stream. `batches` end with None if it did not keep up."""

    loop: asyncio.AbstractEventLoop
    batches: asyncio.Queue[list[Message] | None] = field(
        default_factory=lambda: asyncio.Queue(_MOST_WAITING + 1)
    )

    def put(self, batch: list[Message]) -> None:
        """Add a batch, in the stream's own loop."""
        size = self.batches.qsize()
        if size < _MOST_WAITING:
            self.batches.put_nowait(batch)
        elif size == _MOST_WAITING:
            self.batches.put_nowait(None)


class LogStream:
    """The new records of a log, for any number of subscribers."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._lock = Lock()
        self._wanted = Condition(self._lock)
        self._subscribers: set[Subscriber] = set()
        self._batch: list[Message] = []
        self._recent: dict[str, Message] = {}
        self._thread: OwnThread | None = None
        self._is_following = Event()

    async def followed(self) -> None:
        """Return when subscribers get each new record: as soon as the log is open.

        A thread for each waiting stream would leave none for the pages.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_RETRY_S):
                while not self._is_following.is_set():
                    await asyncio.sleep(_LOOK_S)

    @contextmanager
    def subscribed(self) -> Iterator[Subscriber]:
        """Give a stream of what is recorded from now on. Call this in an event loop.

        The first one starts the thread: see `followed`.
        """
        subscriber = Subscriber(loop=asyncio.get_running_loop())
        with self._lock:
            self._subscribers.add(subscriber)
            self._wanted.notify()
            if self._thread is None:
                self._thread = OwnThread(target=self._run, name="log stream", daemon=True)
                self._thread.start()
        try:
            yield subscriber
        finally:
            with self._lock:
                self._subscribers.discard(subscriber)

    def since(self, record_id: str) -> list[Message] | None:
        """Return what was recorded after a record, the oldest first; None if it is too long ago."""
        with self._lock:
            if record_id not in self._recent:
                return None
            at = [*self._recent].index(record_id)
            return [*islice(self._recent.values(), at + 1, None)]

    def _run(self) -> None:
        while True:
            try:
                for record in follow(
                    self._log, matches=_EVERYTHING, wait=self._wait, begin=self._begin
                ):
                    self._batch.append(message_of(record))
            except RunnerError:  # the pages report it
                self._is_following.clear()
                time.sleep(_RETRY_S)

    def _begin(self) -> tuple[Record, ...]:
        """Remember the newest records: readers of a former process have the last of them."""
        with ExitStack() as stack:
            paths = (self._log, self._log.with_name(f"{self._log.name}.1"))
            files = [file for path in paths if (file := LogFile.open(path)) is not None]
            for file in files:
                stack.callback(file.close)
            newest = [*islice(backwards(files, []), _MOST_REMEMBERED)]
        self._remember(map(message_of, reversed(newest)))
        self._is_following.set()
        return ()

    def _remember(self, batch: Iterable[Message]) -> None:
        with self._lock:
            self._recent |= {str(each.record.get("id")): each for each in batch}
            for record_id in [*islice(self._recent, max(len(self._recent) - _MOST_REMEMBERED, 0))]:
                del self._recent[record_id]

    def _wait(self) -> None:
        """Hand out what was read, and wait for more; without a subscriber, for one."""
        batch, self._batch = self._batch, []
        self._remember(batch)
        with self._lock:
            by_loop: dict[asyncio.AbstractEventLoop, list[Subscriber]] = {}
            for each in self._subscribers:
                by_loop.setdefault(each.loop, []).append(each)
            if not self._subscribers:
                self._wanted.wait(_POLL_S * 5)
        if batch:
            for loop, subscribers in by_loop.items():
                _call(loop, lambda each=subscribers: [one.put(batch) for one in each])  # type: ignore[misc]
        time.sleep(_POLL_S)


def message_of(record: Mapping[str, object]) -> Message:
    """Return a record with its text in an event stream.

    JSON in one line cannot contain what ends an event.
    """
    data = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    name, number = (_in_line(record.get(key)) for key in ("event", "id"))
    frame = f"event: {name}\nid: {number}\ndata: {data}\n\n".encode("utf-8", "replace")
    return Message(record=dict(record), frame=frame)


def _in_line(value: object) -> str:
    return "".join(each for each in str(value) if each.isprintable())


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:  # the loop is closed: its streams are gone
        return
