"""The worker's connection to the database, in a thread of its own.

It takes executions, sends output and reports, and writes heartbeats, all in one connection
and one after the other: so a heartbeat lists every execution that was taken before it. The
owner of the executions gives it work and takes its news. While the database is away, the
work waits; nothing here is lost by that.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from threading import Lock

import psycopg

from runner.errors import StoreError
from runner.execution.output import Identity
from runner.store.postgres.connecting.address import Address
from runner.store.postgres.connecting.connection import Connection, connect, errors_in_words
from runner.store.postgres.fleet import worker_reports, worker_side
from runner.store.postgres.fleet.worker_reports import ReportRow
from runner.store.postgres.fleet.worker_side import Holding, WorkerNode
from runner.store.rows import ExecutionRow
from runner.system.threads import OwnThread
from runner.worker.fencing.fence import now_s
from runner.worker.growing_outputs import GrowingOutputs
from runner.worker.news import Beat, Joined, News, Replaced, Sent, Took
from runner.worker.notes import Report
from runner.worker.room import Room

_BEAT_S = 3.0
_LEAST_BEAT_S = 0.2
_BEATS_WITHIN = 20
"""At least so many heartbeats fit into `lost_after`."""
_SILENT_S = 15.0
"""A worker whose heartbeat is older than this has probably ended."""
_OUTPUT_LOOK_S = 1.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 3.0
_MOST_REPORTS = 500


@dataclass(slots=True, kw_only=True)
class _Work:
    """What the owner wants done. Guarded by the lock of its `Link`."""

    executions: frozenset[str] = frozenset()
    reports: deque[Report] = field(default_factory=deque)


class Link:
    """The connection. All methods but `_run` and those below it are for the owner."""

    def __init__(
        self,
        address: Address,
        node: WorkerNode,
        room: Room,
        wake: Callable[[], None],
        *,
        default_lost_after_s: float,
    ) -> None:
        """`wake` is called when there is news. `room` bounds what is taken."""
        self._address = address
        self._node = node
        self._room = room
        self._wake = wake
        self._lost_after_s = default_lost_after_s
        self._lock = Lock()
        self._work = _Work()
        self._news: deque[News] = deque()
        self._outputs = GrowingOutputs()
        self._asked = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        room.when_free(self._ask)
        self._may_wait = True
        self._is_closed = False
        self._is_leaving = False
        self.has_left = False
        """Whether the registration is gone, after `leave`."""
        self._is_registered = False
        self._foreign: frozenset[str] = frozenset()
        self._next_beat_s = 0.0
        self._next_look_s = 0.0
        self._thread = OwnThread(target=self._run, name="link", daemon=True)
        self.trouble: str | None = None
        """Why the database cannot be used, in words; None if it can."""

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def take_news(self) -> list[News]:
        """Return the news since the last call."""
        taken = []
        while self._news:
            taken.append(self._news.popleft())
        return taken

    def list(self, executions: frozenset[str]) -> None:
        """List these executions with each heartbeat, besides those that will be taken."""
        with self._lock:
            self._work.executions |= executions

    def forget(self, executions: Iterable[str]) -> None:
        """Leave executions out of the heartbeats from now on."""
        with self._lock:
            self._work.executions -= frozenset(executions)

    def look(self) -> None:
        """Look for executions that wait, now or once there is room. For any thread."""
        self._may_wait = True
        self._ask()

    def report(self, report: Report) -> None:
        """Send a report after those before it, and after the output if it is the last one."""
        with self._lock:
            self._work.reports.append(report)
        self._ask()

    def watch_output(
        self, execution: str, path: str, only: Identity | None, *, is_new: bool
    ) -> None:
        """Send the output of an execution while it grows. `is_new`: nothing was sent yet.

        `only` is the file that the execution got, if it is known.
        """
        self._outputs.watch(execution, path, only, is_new=is_new)

    def end_output(self, execution: str) -> None:
        """Note that the output of an execution is complete."""
        self._outputs.end(execution)

    def is_sending(self, execution: str) -> bool:
        """Return whether output of an execution waits to be sent."""
        return execution in self._outputs

    def leave(self) -> None:
        """Remove the registration with the next heartbeat, if nothing is held any more."""
        if not self._is_leaving:
            self._is_leaving, self._next_beat_s = True, 0.0
            self._ask()

    def close(self, within_s: float) -> None:
        """End the connection, and wait for a moment for that."""
        self._is_closed = True
        self._ask()
        if self._thread.is_alive():
            self._thread.join(within_s)

    @property
    def _beat_every_s(self) -> float:
        return min(_BEAT_S, max(self._lost_after_s / _BEATS_WITHIN, _LEAST_BEAT_S))

    def _ask(self) -> None:
        os.eventfd_write(self._asked, 1)

    def _tell(self, news: News) -> None:
        self._news.append(news)
        self._wake()

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._is_closed:
            try:
                with closing(self._connected()) as link, errors_in_words(self._address):
                    self._begin(link)
                    pause_s = _FIRST_PAUSE_S
                    while not self._is_closed:
                        self._turn(link)
            except StoreError as error:
                self.trouble = str(error)
                self._wake()
            self._outputs.forget_places()
            self._pause(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _connected(self) -> Connection:
        return connect(self._address, what=f"runner work {self._node.name}")

    def _pause(self, pause_s: float) -> None:
        until_s = time.monotonic() + pause_s
        while not self._is_closed and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, 0.1))

    def _begin(self, connection: Connection) -> None:
        """Register, or go on with the registration of before the connection broke."""
        if not self._is_registered:
            self._register(connection)
        connection.add_notify_handler(self._note_stop)
        connection.execute("LISTEN runner_stops")
        if worker_side.is_registered(connection, self._node):
            self._take_unknown(connection, self._holdings(connection))
        self._may_wait = True
        self._next_beat_s = 0.0
        self.trouble = None

    def _note_stop(self, _notify: psycopg.Notify) -> None:
        self._next_beat_s = 0.0

    def _register(self, connection: Connection) -> None:
        """Register in the place of a former worker of this name.

        Raises StoreError while that one may still live, unless it was this identity's.
        """
        node = self._node
        self._read_lost_after(connection)
        sent_s = now_s()
        with connection.transaction():
            former = worker_side.former_worker(connection, node.name)
            held = worker_side.holdings(connection, node.name)
            foreign: frozenset[str] = frozenset()
            if former is not None and (former.machine, former.boot, former.state_id) != (
                node.machine,
                node.boot,
                node.state_id,
            ):
                is_rebooted = (former.machine, former.state_id) == (node.machine, node.state_id)
                # Without executions, only a worker that lives must not lose its name.
                free_after_s = self._lost_after_s if held else _SILENT_S
                free_after_s = min(free_after_s, self._lost_after_s)
                if former.age_s < free_after_s and not is_rebooted:
                    raise StoreError(
                        f"another worker was seen as {node.name} {former.age_s:.0f} s ago; stop"
                        " that one, or choose another --name"
                    )
                foreign = frozenset(each.execution for each in held)
            worker_side.register(connection, node, self._listed() - foreign)
        self._foreign = foreign
        self._is_registered = True
        self._tell(Joined(sent_s=sent_s, lost_after_s=self._lost_after_s, foreign=foreign))

    def _turn(self, connection: Connection) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._asked)
        self._take(connection)
        is_busy = self._send(connection)
        if time.monotonic() >= self._next_beat_s:
            self._beat(connection)
        if self._is_closed:
            return
        wait_s = min(self._next_beat_s, self._next_look_s) - time.monotonic()
        readable, _, _ = select.select(
            [connection.fileno(), self._asked], [], [], 0.0 if is_busy else max(wait_s, 0.0)
        )
        if connection.fileno() in readable:
            self._next_beat_s = 0.0  # reads the notification, or finds the connection broken

    def _take(self, connection: Connection) -> None:
        """Fill the room, as far as executions wait."""
        if not self._may_wait or not (free := self._room.reserve()):
            return
        self._may_wait = False  # before the look, so that a later job is not overlooked
        taken = None
        try:
            taken = worker_side.take(connection, self._node, at_most=free)
        finally:
            self._room.give_back(free - (len(taken.rows) if taken else 0))
        if taken.found == free:
            self._may_wait = True
        if taken.rows:
            self._tell_taken(connection, taken.rows, taken.jobs)

    def _tell_taken(
        self, connection: Connection, rows: Mapping[str, ExecutionRow], jobs: str | None
    ) -> None:
        with self._lock:
            self._work.executions |= {row.id for row in rows.values()}
        self._tell(
            Took(rows=rows, groups=self._groups_around(connection, rows.values()), jobs=jobs)
        )

    def _groups_around(
        self, connection: Connection, rows: Iterable[ExecutionRow]
    ) -> dict[str, ExecutionRow]:
        found: dict[str, ExecutionRow] = {}
        wanted = {row.group_id for row in rows if row.group_id}
        while wanted:
            outer = worker_side.executions(connection, sorted(wanted))
            found |= outer
            wanted = {row.group_id for row in outer.values() if row.group_id} - found.keys()
        return found

    def _send(self, connection: Connection) -> bool:
        """Commit output and reports together; return whether more waits."""
        is_look = time.monotonic() >= self._next_look_s
        if is_look:
            self._next_look_s = time.monotonic() + _OUTPUT_LOOK_S
        with self._lock:
            waiting = list(self._work.reports)[:_MOST_REPORTS]
        if not waiting and not self._outputs.is_due(is_look):
            return False
        outputs = self._outputs.read(connection, is_look=is_look)
        ready = [each for each in waiting if not self._is_held(each)]
        if outputs or ready:
            reports = [ReportRow(each.execution, each.kind, 1, each.body) for each in ready]
            worker_reports.send(connection, self._node.name, outputs, reports)
        self._outputs.note_committed()
        if ready:
            numbers = {each.number for each in ready}
            with self._lock:
                kept = [each for each in self._work.reports if each.number not in numbers]
                self._work.reports = deque(kept)
            self._tell(Sent(numbers=tuple(numbers)))
        return self._outputs.is_due(False) or len(waiting) == _MOST_REPORTS

    def _is_held(self, report: Report) -> bool:
        """Return whether a report must wait for the output of its execution."""
        return report.kind == "finished" and self._outputs.has_more(report.execution)

    def _listed(self) -> frozenset[str]:
        with self._lock:
            return self._work.executions

    def _beat(self, connection: Connection) -> None:
        sent_s, listed = now_s(), self._listed()
        # Before the statements: a notification that comes with their answers counts.
        self._next_beat_s = time.monotonic() + self._beat_every_s
        beaten = worker_side.beat(connection, self._node, listed)
        if beaten is None:
            self._rejoin(connection)
            return
        own = self._holdings(connection)
        self._read_lost_after(connection)
        self._take_unknown(connection, own)
        self._tell(
            Beat(
                sent_s=sent_s,
                listed=listed,
                holdings=own,
                is_draining=beaten.is_draining,
                asked=beaten.asked,
                lost_after_s=self._lost_after_s,
            )
        )
        if self._is_leaving and not own:
            worker_side.leave(connection, self._node)
            self._leave()

    def _leave(self) -> None:
        self._is_closed = self.has_left = True
        self._wake()

    def _read_lost_after(self, connection: Connection) -> None:
        noted = worker_side.meta_value(connection, worker_side.LOST_AFTER)
        self._lost_after_s = float(noted or self._lost_after_s)

    def _holdings(self, connection: Connection) -> tuple[Holding, ...]:
        held = worker_side.holdings(connection, self._node.name)
        return tuple(each for each in held if each.execution not in self._foreign)

    def _take_unknown(self, connection: Connection, held: tuple[Holding, ...]) -> None:
        """Take what the store already counts as this worker's, though it never knew of it.

        The answer to its take was lost, or a former process of this worker died before it
        could note the take. So nobody started any of these.
        """
        known = self._listed()
        unknown = {each.execution: each.take for each in held if each.execution not in known}
        if unknown:
            rows = worker_side.executions(connection, list(unknown))
            taken = {unknown[execution]: row for execution, row in rows.items()}
            self._room.occupy(len(taken))
            jobs = worker_side.meta_value(connection, worker_side.JOBS)
            self._tell_taken(connection, taken, jobs)

    def _rejoin(self, connection: Connection) -> None:
        """Register again if the registration is gone; else another worker has the name."""
        with connection.transaction():
            former = worker_side.former_worker(connection, self._node.name)
            if former is None:
                worker_side.register(connection, self._node, self._listed())
                return
        self._tell(Replaced())
        if self._is_leaving:  # the registration is another worker's
            self._leave()
