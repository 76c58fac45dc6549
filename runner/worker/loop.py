"""The loop of a worker: take, start, reap, report. One thread owns the executions; the
threads of the connections and the signals only wake it.
"""

from __future__ import annotations

import os
import select
import signal
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import BinaryIO

from loguru import logger

from runner import __version__
from runner.errors import StoreInUseError, StoreUnwritableError
from runner.execution.executor import ExecutionEvent
from runner.execution.local_executor import LocalExecutor
from runner.execution.trees.proc import boot_id
from runner.service.beside.child_pipe import Successor
from runner.service.handover import Handover
from runner.service.stop_signals import Signals
from runner.service.systemd import SILENT, Notifier
from runner.store.lock import take_lock
from runner.store.postgres.connecting.address import address_of
from runner.store.postgres.connecting.connection import conninfo_of
from runner.store.postgres.fleet.worker_side import WorkerNode
from runner.system import early_signals
from runner.system.clock import Clock, exact_poll
from runner.system.inheritance import inheritable
from runner.values import counted, listed, new_id
from runner.worker.deliveries import Deliveries
from runner.worker.executions import Executions
from runner.worker.fencing.supervision import Supervision
from runner.worker.guard import Guard
from runner.worker.identity import own_identity
from runner.worker.link import Link
from runner.worker.news import Beat, Joined, News, Replaced, Sent, Took
from runner.worker.notes import Notes
from runner.worker.room import Room
from runner.worker.settings import LOST_AFTER, WorkerSettings
from runner.worker.stopping import Stopping

_LONGEST_WAIT_S = 1.0
_LOCK_LOOK_S = 1.0
_END_S = 3.0
"""How long the threads may take to end, in seconds."""
_LAST_WORDS_S = 10.0
"""How long a stopping worker tries to report the last ends."""


@contextmanager
def running(
    settings: WorkerSettings,
    clock: Clock,
    notifier: Notifier = SILENT,
    *,
    handover: Handover | None = None,
) -> Iterator[Worker]:
    """Own the worker's folder, and yield a worker that `run` starts.

    `handover` comes from the program that this one replaced. Raises StoreInUseError if
    another worker owns the folder, and StoreError.
    """
    with ExitStack() as resources:
        settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = resources.enter_context(_lock_of(settings, handover))
        notes = Notes(settings.folder, boot_id())
        resources.callback(notes.close)
        yield Worker(settings, notes, lock, clock, notifier, resources, handover)


def _lock_of(settings: WorkerSettings, handover: Handover | None) -> BinaryIO:
    """Take the folder's lock. The worker beside a runner waits for the former one.

    That one outlives `kill -9` of its runner until its executions have ended. Raises
    StoreInUseError: for any other worker, or once somebody stops this one.
    """
    handed = None if handover is None else handover.folder_lock
    is_announced = False
    while True:
        try:
            return take_lock(settings.folder, handed)
        except StoreInUseError:
            if not settings.drains_with_stdin:
                raise
            if not is_announced:
                logger.info("waits for the worker of the former runner, which finishes")
                is_announced = True
            if _has_stdin_ended(within_s=_LOCK_LOOK_S) or early_signals.is_stop_asked():
                raise


def _has_stdin_ended(*, within_s: float) -> bool:
    poll = select.poll()
    poll.register(0, 0)  # the end of a pipe is always reported
    return bool(poll.poll(within_s * 1000))


class Worker:
    """A worker on one store; `running` builds it."""

    def __init__(
        self,
        settings: WorkerSettings,
        notes: Notes,
        lock: BinaryIO,
        clock: Clock,
        notifier: Notifier,
        resources: ExitStack,
        handover: Handover | None,
    ) -> None:
        self._settings = settings
        self._lock = lock
        self._notifier = notifier
        self._clock = clock
        self._identity = own_identity(settings.name, notes.state_id)
        self._poll = resources.enter_context(select.epoll())
        self._signals = resources.enter_context(Signals())
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        resources.callback(os.close, self._woken)
        self._room = Room(settings.concurrency)
        address = address_of(settings.url)
        self._link = Link(
            address,
            self._node(),
            self._room,
            self._wake,
            default_lost_after_s=LOST_AFTER.total_seconds(),
        )
        resources.callback(self._link.close, _END_S)
        self._deliveries = Deliveries(
            # A job is only a hint: the row of its dispatch decides, and the leader offers anew
            # what no job tells of.
            conninfo_of(address, f"runner work {self._identity.name}", is_durable=False),
            settings.queues,
            self._link.look,
        )
        resources.callback(self._deliveries.close, _END_S)
        self._supervision = Supervision(settings.folder)
        resources.callback(self._supervision.close)
        self._executor = LocalExecutor(clock, handed=handover.processes if handover else ())
        resources.callback(self._executor.close)
        self._executions = Executions(
            settings, notes, self._executor, self._link, self._room, clock
        )
        self._guard = Guard(settings.folder, self._supervision, self._executions)
        self._pending: deque[News | ExecutionEvent] = deque()
        self._troubles: dict[str, str | None] = {}
        self._notes_trouble: str | None = None
        self._stopping = Stopping(self._executions, self._room, clock, settings.drain)
        self.successor: Successor | None = None
        """The program that replaces this one, if the runner beside this worker chose it."""
        for descriptor in (self._executor.descriptor, self._signals.descriptor, self._woken):
            self._poll.register(descriptor, select.EPOLLIN)
        if settings.drains_with_stdin:
            self._poll.register(0, select.EPOLLIN)

    def run(self) -> Handover | None:
        """Work until somebody stops the worker, and its executions have ended.

        If somebody restarts it, executions go on, and what they need is returned for the
        program that replaces this one.
        """
        self._executions.take_over()
        self._link.start()
        # Even without the database: executions may have been adopted, and need this worker.
        self._notifier.ready(begun_s=self._clock.elapsed_s())
        while not (self._may_hand_over or self._is_over()):
            self._wait()
            self._turn()
        if self._may_hand_over:
            return self._hand_over()
        self._notifier.stopping()
        return None

    def _turn(self) -> None:
        for number in self._signals.take():
            if number is not signal.SIGHUP:
                self._stopping.ask(number)
        with suppress(BlockingIOError):
            os.eventfd_read(self._woken)
        self._pending.extend(self._link.take_news())
        self._pending.extend(self._executor.events())
        self._carry_out_pending()
        self._guard.advance()
        if not self._stopping.is_restarting:  # else the next program starts what is held
            self._executions.start_held(may_start_fenced=self._guard.is_in_force)
        self._stopping.advance()
        self._report_troubles()
        running = len(self._executions.running)
        self._notifier.working(running=running, trouble=self._link.trouble)

    def _carry_out_pending(self) -> None:
        """Carry out the news; what the disk refuses to note waits, with all after it."""
        try:
            while self._pending:
                self._carry_out(self._pending[0])
                self._pending.popleft()
            self._notes_trouble = None
        except StoreUnwritableError as error:
            self._notes_trouble = str(error)

    def _carry_out(self, news: News | ExecutionEvent) -> None:
        match news:
            case Joined():
                self._note_joined(news)
            case Took():
                self._executions.accept(news)
            case Sent():
                self._executions.note_sent(frozenset(news.numbers))
            case Beat():
                self._note_beat(news)
            case Replaced():
                self._stopping.drain("another worker is registered under this name")
            case _:
                self._executions.note(self._guard.judged(news))

    def _note_joined(self, joined: Joined) -> None:
        # Before the first heartbeat, too, this worker can take something and stand still.
        self._guard.acknowledge(joined.sent_s, joined.lost_after_s)
        self._deliveries.start()  # the tables are there, and stay
        logger.info(
            "{} works on {} for at most {} at a time",
            self._identity.name,
            listed([f"queue {queue}" for queue in self._settings.queues], 5),
            counted(self._settings.concurrency, "execution"),
        )

    def _note_beat(self, beat: Beat) -> None:
        self._guard.acknowledge(beat.sent_s, beat.lost_after_s)
        self._executions.note_beat(beat)
        if beat.asked is not None:
            self._stopping.carry_out(beat.asked)
        elif beat.is_draining:
            self._stopping.drain("it was asked to drain")

    def _is_over(self) -> bool:
        """Return whether the worker has stopped and said all that it can."""
        if not self._stopping.is_leaving or self._pending or self._executions.running:
            return False
        if self._stopping.is_late(_LAST_WORDS_S):
            return True
        if self._executions.is_reported:
            self._link.leave()
        return self._link.has_left

    @property
    def _may_hand_over(self) -> bool:
        return (
            self._stopping.is_restarting and not self._pending and not self._executions.is_starting
        )

    def _hand_over(self) -> Handover:
        """End the connections, and return what the next program cannot find in the notes.

        If the database does not answer, that program asks it what was taken last. The
        supervisor goes on alone until that program has another one.
        """
        self._notifier.reloading()
        self._deliveries.close(within_s=0.0)
        self._link.close(_END_S)
        with suppress(StoreUnwritableError):  # then that program asks the database, too
            for news in self._link.take_news():
                if isinstance(news, Took | Sent):
                    self._carry_out(news)
        return Handover(
            folder_lock=inheritable(self._lock.fileno()), processes=self._executor.hand_over()
        )

    def _wait(self) -> None:
        next_s = self._executor.next_s()
        waits = [_LONGEST_WAIT_S if next_s is None else next_s - self._clock.elapsed_s()]
        waits.append(self._guard.wait_s())
        for descriptor, _ in exact_poll(self._poll, max(min(waits), 0.0), self._clock):
            if descriptor == 0:
                self._obey_runner()

    def _obey_runner(self) -> None:
        """Do what the runner beside this worker wants: restart, or leave with its end."""
        if (successor := Successor.receive(0)) is None:
            self._poll.unregister(0)
            self._stopping.leave_when_idle()
        else:
            self.successor = successor
            self._stopping.restart()

    def _wake(self) -> None:
        os.eventfd_write(self._woken, 1)

    def _node(self) -> WorkerNode:
        identity = self._identity
        return WorkerNode(
            name=identity.name,
            machine=identity.machine,
            boot=identity.boot,
            state_id=identity.state_id,
            instance=new_id(),
            version=__version__,
            queues=self._settings.queues,
            concurrency=self._settings.concurrency,
        )

    def _report_troubles(self) -> None:
        troubles = {
            "the database": self._link.trouble,
            "taking from the queues": self._deliveries.trouble,
            "the worker's notes": self._notes_trouble or self._guard.trouble,
        }
        for what, trouble in troubles.items():
            if trouble != self._troubles.get(what):
                self._troubles[what] = trouble
                if trouble is not None:
                    logger.warning("{}: {}", what, trouble)
                else:
                    logger.info("{}: all right again", what)
