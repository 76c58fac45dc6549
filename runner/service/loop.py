"""The loop: read, decide, commit, spawn, reap, write. One thread owns all state; signals,
watchers and other programs only wake it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from select import select
from typing import Any

from runner import RELEASED
from runner.commands import Answer, Command
from runner.errors import StoreUnwritableError
from runner.monitor.events import runner_stopped
from runner.service.assembly.exclusive_parts import Options
from runner.service.assembly.parts import Parts, assemble
from runner.service.beside.child_command import ChildCommand
from runner.service.deciding.answering import answer
from runner.service.handover import Handover
from runner.service.runner_settings import Settings
from runner.service.systemd import SILENT, Notifier
from runner.service.trouble import ALIVE, Cooldown, TroubleNote, TroubleReports
from runner.service.turn_decisions import TurnDecisions
from runner.service.waiting import LONGEST_WAIT_S, idle_s
from runner.system.clock import Clock, exact_poll
from runner.system.stalls import WATCH
from runner.values import to_microseconds

MANY_STARTING, BATCH_S = 4, 0.005
"""While so many starts are in progress, a turn begins at most this often."""
STORE_LOOK_S = 0.25
"""A look at the store's files takes a third of an idle turn, and each commit looks anyway."""
_LEISURE_S = 0.05
"""A wait of at least this length leaves time for postponed work of the store."""


@contextmanager
def running(
    settings: Settings,
    clock: Clock,
    *,
    observer: Callable[[dict[str, Any]], None],
    is_firing: bool = True,
    notifier: Notifier = SILENT,
    released: datetime = RELEASED,
    handover: Handover | None = None,
    children: Sequence[ChildCommand] = (),
    node: str | None = None,
    state_lock: int | None = None,
) -> Iterator[Runner]:
    """Own the store, and yield a runner on it.

    `observer` gets each durable monitor record. With `is_firing` off the runner executes
    only what a command asks for: `runner exec` does so while no other runner is running.
    `released` is the earliest time that a correct clock can show. `handover` comes from
    the program that this one replaced. The loop keeps `children` running; the caller ends
    them. `node` is the name of this node of a fleet, and `state_lock` a descriptor by which
    it holds its state folder already. Raises StoreError and its kinds, RefusedError, and
    LeaseLostError at any time once another node leads.
    """
    options = Options(
        clock=clock,
        observer=observer,
        is_firing=is_firing,
        notifier=notifier,
        released=released,
        handover=handover,
        children=children,
        node=node,
        state_lock=state_lock,
    )
    with ExitStack() as resources:
        resources.callback(WATCH.note_end)
        runner = Runner(assemble(settings, options, resources))
        yield runner
        # After an exception the state is that of a crash, and the next start recovers from
        # it. Therefore the last facts are committed only here.
        runner.commit_last()


class Runner:
    """A runner on one store; `running` builds it. Call `run`, or `start` and then `turn`."""

    def __init__(self, parts: Parts) -> None:
        core = parts.core
        self.registry = core.registry
        self.in_progress = core.in_progress
        self._parts = parts
        self._clock = parts.options.clock
        self._is_firing = parts.options.is_firing
        self._notifier = parts.options.notifier
        self._journal = parts.journal
        self.alerts = core.alerts
        self._own_checks = parts.own_checks
        self._executor = core.executor
        self._dispatcher = core.dispatcher
        self._decisions = core.decisions
        self._stopping = core.stopping
        self._watch = core.watch
        self._jobs_lock = core.jobs_lock
        self._mail = parts.mail
        self._folder = parts.folder
        self._begun_s = self._clock.elapsed_s()
        self._store_pause = core.decisions.pause
        self._log_pause = Cooldown(self._clock)
        self._store_look = Cooldown(self._clock, lasts_s=STORE_LOOK_S)
        # A signal may have come during the start: then the first turn must start nothing.
        self._is_signalled = True
        self._turn_decisions = TurnDecisions(parts)
        self._trouble_reports = TroubleReports()
        self._trouble_note = TroubleNote(parts.settings.state)

    def run(self) -> Handover | None:
        """Run until a signal stops the runner and its executions have ended.

        After a `restart` command, executions go on, and what they need is returned for the
        program that replaces this one.
        """
        self.start()
        self._notifier.ready(begun_s=self._begun_s)
        self.turn()
        while not self._is_done():
            self.wait()
            self.turn()
        self._record_stop()
        return self._hand_over() if self._stopping.is_handing_over else None

    def start(self) -> None:
        """Read the folder for the first time and register its requests.

        While the clock is certainly wrong, this waits until somebody sets it. Raises
        StoreUnwritableError.
        """
        if self._is_firing and self._watch.trouble is not None:
            is_done = self._folder.announce(self._watch.trouble)
        else:
            is_done = self._folder.begin(is_start=True, is_stopped=self._is_stopped_meanwhile)
        if not is_done:
            raise StoreUnwritableError(self._journal.store_trouble)
        self._journal.log.append()

    def turn(self) -> None:
        """Do everything that is due now, and commit it.

        Urgent work comes first: signals, processes that are to start, fires, then the log.
        Reading the folder and pruning can wait and come last. While the store refuses
        commits, only the parts that need none run.
        """
        WATCH.beat()
        self._take_signals()
        # First what an earlier turn committed a few milliseconds ahead of its time; once
        # more below, what this turn commits.
        self._dispatcher.start_committed()
        if not self._store_pause.is_on and not self._store_look.is_on:
            self._store_look.begin()
            if not self._journal.check_store():
                self._store_pause.begin()
        if self._is_firing:
            self._jobs_lock.look()
        if not self._store_pause.is_on:
            if self._is_firing:
                self._look_at_clock()
            self._turn_decisions.decide()
        self._dispatcher.start_committed()
        self._dispatcher.take_events()
        if not self._log_pause.is_on and not self._journal.log.append():
            self._log_pause.begin()
        is_woken = bool(self._parts.wakeups.poll.poll(0, 1))
        self._journal.show(is_busy=is_woken or self._executor.starting > 0)
        self._stopping.advance()
        is_amid_burst = self._turn_decisions.is_amid_burst
        if self._folder.is_serving and not self._store_pause.is_on and not is_amid_burst:
            if not self._stopping.is_asked and not self._folder.is_switching:
                self._parts.clock_changes.look_at_zone()
            self._folder.advance()
            self._parts.housekeeping.advance()
            if self._is_firing:
                self._parts.settings_watch.advance()
                self._parts.messenger.advance()
        if self._parts.leader_watch is not None and not self._store_pause.is_on:
            self._parts.leader_watch.advance()
        for child in self._parts.options.children:
            child.advance()
        self._report_troubles()
        self._notifier.turn(requests=len(self.registry.requests), running=self.in_progress.occupied)

    def wait(self, *, at_most_s: float = LONGEST_WAIT_S) -> None:
        """Wait for the next work, and take the exits and notes that arrive meanwhile."""
        timeout_s = min(idle_s(self._parts, self._log_pause), at_most_s)
        if timeout_s > _LEISURE_S and not self._store_pause.is_on and not self._journal.tidy():
            self._store_pause.begin()
        if self._executor.starting >= MANY_STARTING:
            # Each turn has a fixed cost, so it takes several results at once. Meanwhile
            # the threads that start processes have the interpreter for themselves. Unlike
            # sleep, select takes a relative time, so a set clock cannot prolong it.
            select([], [], [], BATCH_S)
        wakeups = self._parts.wakeups
        events = exact_poll(wakeups.poll, timeout_s, self._clock)
        # Nothing came: look for commands anyway. Somebody may have removed the FIFO that
        # would wake the loop.
        self._mail.is_waiting = self._mail.is_waiting or not events
        for descriptor, _ in events:
            if descriptor == self._executor.descriptor:
                self._dispatcher.take_events()
            elif descriptor == wakeups.arrivals:
                self._parts.store.clear_arrivals()
                self._mail.is_waiting = True
            elif descriptor == wakeups.signals.descriptor:
                self._is_signalled = True
            elif descriptor == wakeups.folder_changes:
                os.eventfd_read(descriptor)
                self._parts.reader.note_change()

    def carry_out(self, command: Command) -> Answer:
        """Carry out a command of this program itself, while no other runner is running.

        Raises StoreUnwritableError.
        """
        decision = self._decisions.begin()
        answered = answer(command, decision)
        if not self._decisions.commit(decision):
            raise StoreUnwritableError(self._journal.store_trouble)
        return answered

    def commit_last(self) -> None:
        """Commit the last facts with their follow-ups, which the next runner starts."""
        self._decisions.commit(self._decisions.begin(is_closing=True))

    @property
    def zone(self) -> str:
        """The IANA key for times without an offset: the settings' zone, or the system's
        current one.
        """
        return self._parts.zones.zone

    @property
    def is_stopping(self) -> bool:
        """Whether somebody asked the runner to stop."""
        return self._stopping.is_asked

    @property
    def is_handing_over(self) -> bool:
        """Whether another program is about to replace this one."""
        return self._stopping.is_handing_over

    @property
    def is_executing(self) -> bool:
        """Whether an execution that this runner claimed has not ended yet."""
        return any(not execution.is_inherited for execution in self.in_progress)

    def _look_at_clock(self) -> None:
        """Follow the clock; read the folder for the first time once the clock is right."""
        self._parts.clock_changes.look_at_clock()
        is_ready = self._watch.trouble is None and not self._store_pause.is_on
        if not self._folder.is_registered and is_ready and not self._stopping.is_asked:
            self._folder.begin(is_start=False, is_stopped=self._is_stopped_meanwhile)

    def _report_troubles(self) -> None:
        self._trouble_reports.report(
            {
                "the clock": self._watch.trouble,
                "the jobs folder": self._jobs_lock.trouble,
                "the store": self._journal.store_trouble,
                "access to the store": self._journal.store_hindrance,
                "the monitor log": self._journal.log.trouble,
                "this machine's clock": self._clock_offset,
                "pinging": self._parts.messenger.trouble,
                "change notification": self._parts.reader.trouble if self._is_firing else None,
            }
        )
        if self._is_firing:
            self._trouble_note.write(self._journal.store_trouble)
            self._own_checks.note_store(self._journal.store_trouble)

    @property
    def _clock_offset(self) -> str | None:
        watch = self._parts.leader_watch
        return None if watch is None else watch.trouble

    def _is_stopped_meanwhile(self) -> bool:
        """Return whether a signal asked the runner to stop while the loop could not turn."""
        self._is_signalled = True
        self._take_signals()
        return self._stopping.is_asked

    def _take_signals(self) -> None:
        if not self._is_signalled:
            return
        self._is_signalled = False
        for number in self._parts.wakeups.signals.take():
            if number is signal.SIGHUP:
                self._notifier.reloading()
                self._folder.look_again()
            else:
                WATCH.note_stop()
                self._notifier.stopping()
                self._journal.show_all()  # what happened before the stop comes before it
                self._stopping.ask(number)
                self._journal.note_meta({"stopping": str(to_microseconds(self._clock.now()))})

    def _is_done(self) -> bool:
        if not self._stopping.is_asked:
            return False
        if self._stopping.leaves_executions:
            table = self.in_progress
            if table.starting or table.has_claims_ahead or self._executor.starting:
                return False
        elif self.in_progress.occupied:
            return False
        # Do not wait for a store or a log that refuses: the next start recovers the rest.
        return not self._journal.is_waiting or self._store_pause.is_on or self._log_pause.is_on

    def _hand_over(self) -> Handover:
        self._notifier.reloading()
        return Handover(
            folder_lock=self._parts.store.hand_over(),
            jobs_lock=self._jobs_lock.hand_over(),
            processes=self._executor.hand_over(),
        )

    def _record_stop(self) -> None:
        record = runner_stopped(
            self._decisions.about(),
            message=self._stopping.message,
            signal=self._stopping.signal,
            uptime_s=self._clock.elapsed_s() - self._begun_s,
        )
        self._journal.record(record, self._clock.now())
        self._journal.note_meta(self._watch.memory() | {ALIVE: ""})
