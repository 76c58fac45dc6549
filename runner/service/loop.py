"""The loop: read, decide, commit, spawn, reap, write. One thread owns all state; signals,
watchers and other programs only wake it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from runner import RELEASED, __version__
from runner.commands import Answer, Command
from runner.errors import RefusedError, StoreError, StoreUnwritableError
from runner.execution.processes import Processes
from runner.execution.trees.proc import boot_id
from runner.lifecycle import Reason
from runner.monitor.events import RunnerFacts, runner_reloaded, runner_started, runner_stopped
from runner.planning.states.planned_status import cut_off
from runner.planning.states.renaming import current_name
from runner.planning.states.results import unregistered_result, with_result
from runner.service.answering import answer
from runner.service.assembly import Assembly, assemble, catalog_reader
from runner.service.clock import Clock, exact_poll
from runner.service.clocks import clock_step, zone_change
from runner.service.clocks.clock_watch import ClockWatch, Step
from runner.service.decision import Decision
from runner.service.executions.dispatch import Dispatcher
from runner.service.executions.execution import Execution, execution_of
from runner.service.executions.in_progress import InProgress
from runner.service.housekeeping import Housekeeping
from runner.service.jobs_lock import JobsLock
from runner.service.mail import Mail
from runner.service.pruning import Pruning
from runner.service.registry import Registry, request_row
from runner.service.reload import catalog_change
from runner.service.reload.background_reader import AsideReader
from runner.service.reload.catalog_switch import CatalogSwitch
from runner.service.self_report import ALIVE, about, adopted_words, start_message
from runner.service.settings import Settings
from runner.service.stopping import Stopping
from runner.service.systemd import SILENT, Notifier
from runner.service.trouble import Complaints, HoldOff, TroubleNote
from runner.system.stalls import WATCH
from runner.timing.zones import use_zone_data, zone_data_in_use
from runner.values import to_microseconds

SPAWN_BUDGET_S = 0.04
"""How long one turn spawns; a command, an exit or a due fire waits at most this long."""
READ_BUDGET_S = 0.005
MOST_UNSHOWN = 10_000
"""How many console lines may wait while executions are about to start."""
_LEISURE_S = 0.05
"""A wait of at least this length leaves time for postponed work of the store."""
_LONGEST_WAIT_S = 0.5


class Runner:
    """A runner on one store. Enter it to own the store, then call `run`.

    With `is_firing` off it executes only what a command asks for: `runner exec` does so
    while no other runner is running. Entering raises StoreError and its kinds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        observer: Callable[[dict[str, Any]], None],
        is_firing: bool = True,
        notifier: Notifier = SILENT,
        released: datetime = RELEASED,
    ) -> None:
        """`released` is the earliest time that a correct clock can show."""
        self.settings = settings
        self.in_progress = InProgress()
        self.registry = Registry(clock)
        self._clock = clock
        self._observer = observer
        self._is_firing = is_firing
        self._notifier = notifier
        self._git: str | None = None
        self._begun_s = clock.elapsed_s()
        self._store_rests = HoldOff(clock)
        self._log_rests = HoldOff(clock)
        self._released = released
        self._has_begun = False
        # A signal may have come during the start: then the first turn must start nothing.
        self._is_signalled = True
        self._switch: CatalogSwitch | None = None
        self._complaints = Complaints()
        self._trouble_note = TroubleNote(settings.state)
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            resources.callback(WATCH.cease)
            self._parts: Assembly = assemble(self.settings, self._clock, self._observer, resources)
            self._journal = self._parts.journal
            self._reader = AsideReader(self._parts.reloader, self._clock)
            resources.callback(self._reader.close)
            self._processes = Processes(self._parts.poll)
            resources.callback(self._processes.close)
            self._dispatcher = Dispatcher(
                self.in_progress,
                self._processes,
                self._journal,
                self._clock,
                cut_off=self._note_cut_off,
                finished=self._note_result,
            )
            reload = self._reload_on_command if self._is_firing else None
            self._mail = Mail(self._parts.store, self._clock, reload=reload)
            self._housekeeping = Housekeeping(
                self.settings.outputs, self.settings.retention, self.in_progress, self._clock
            )
            self._pruning = Pruning(self.registry, self.in_progress, self._clock)
            self._stopping = Stopping(self._dispatcher, self._clock, self.settings.drain)
            self._watch = ClockWatch(
                self._clock, self._parts.snapshot.meta, released=self._released
            )
            self._jobs_lock = JobsLock(
                self.settings.jobs,
                self._clock,
                is_shared=self.settings.allow_shared_jobs,
                is_firing=self._is_firing,
            )
            resources.callback(self._jobs_lock.close)
            self._jobs_lock.take()
            self._zones = zone_change.ZoneWatch(self.settings, self._clock)
            self._take_over()
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        with self._resources:
            # Commit the last facts with their follow-ups. After an exception the state is
            # that of a crash, and the next start recovers from it.
            if kind is None:
                self._commit(self._decision(is_closing=True))

    def run(self) -> None:
        """Run until a signal stops the runner and its executions have ended."""
        self.start()
        self._notifier.ready(begun_s=self._begun_s)
        self.turn()
        while not self._is_done():
            self.wait()
            self.turn()
        self._record_stop()

    def start(self) -> None:
        """Read the folder for the first time and register its requests.

        While the clock is certainly wrong, this waits until somebody sets it. Raises
        StoreUnwritableError.
        """
        is_waiting = self._is_firing and self._watch.trouble is not None
        if not (self._announce(self._watch.trouble) if is_waiting else self._begin(is_start=True)):
            raise StoreUnwritableError(self._journal.store_trouble)
        self._journal.append()

    def _announce(self, message: str | None) -> bool:
        """Record a start that registers nothing yet. Return False if the store refused."""
        decision = self._decision()
        self._record_start(decision, self._about(), message, rejected=())
        return self._commit(decision)

    def _record_start(
        self,
        decision: Decision,
        about: RunnerFacts,
        message: str | None,
        *,
        rejected: Collection[str],
    ) -> None:
        """Record a start. The message also names the adopted executions."""
        decision.record(
            runner_started(
                about,
                message="; ".join(filter(None, (message, self._adopted))) or None,
                monitor_log=str(self.settings.monitor_log),
                rejected=rejected,
            )
        )

    def _begin(self, *, is_start: bool) -> bool:
        """Read the folder for the first time and register its requests.

        Return False if the store refused.
        """
        begun_s = self._clock.elapsed_s()
        reading = self._reader.read(
            self.registry.incumbents(), is_stopped=self._is_stopped_meanwhile
        )
        if reading is None:  # a signal asked the runner to stop
            return not is_start or self._announce("stopped before the jobs folder was read")
        change = catalog_change.compare(reading, self.registry)
        if not self._is_firing:
            self._git = reading.git_commit
            self.registry.accept_catalog(change.changeover.in_force, reading.catalog)
            return True
        decision = self._decision()
        about, changes = self._about_after(change), catalog_change.recorded_changes(change)
        if is_start:
            message = start_message(change, is_new=not self.registry.states)
            self._record_start(decision, about, message, rejected=changes.rejected)
        else:
            duration_s = self._clock.elapsed_s() - begun_s
            decision.record(
                runner_reloaded(
                    about, message=change.summary, duration_s=duration_s, changes=changes
                )
            )
        catalog_change.decide(change, decision, self.registry, is_first=True)
        decision.batch.meta |= {
            "git_commit": change.reading.git_commit or ""
        } | zone_change.meta_of_zones(self.zone)
        if not self._commit(decision):
            return False
        self._has_begun = True
        self._accept_change(change)
        self.registry.plan_all()
        return True

    def turn(self) -> None:
        """Do everything that is due now, and commit it.

        Urgent work comes first: signals, fires, spawns, then the log. Reading the folder
        and pruning can wait and come last. While the store refuses, only the parts that
        need no commit run.
        """
        WATCH.beat()
        self._take_signals()
        if not self._store_rests.is_on and not self._journal.check_store():
            self._store_rests.begin()
        if self._is_firing:
            self._jobs_lock.look()
        if not self._store_rests.is_on:
            if self._is_firing:
                self._look_at_clock()
            self._decide()
        self._dispatcher.spawn(SPAWN_BUDGET_S)
        self._processes.enforce(self._clock.elapsed_s())
        if not self._log_rests.is_on and not self._journal.append():
            self._log_rests.begin()
        self._journal.show(at_most=MOST_UNSHOWN if self.in_progress.starting else 0)
        if self._is_serving and not self._store_rests.is_on:
            self._note_zone_change()
            self._read_on()
        self._stopping.advance()
        if self._is_serving and not self._store_rests.is_on:
            self._housekeeping.advance()
            self._prune()
        self._report_troubles()
        self._notifier.turn(requests=len(self.registry.requests), running=self.in_progress.occupied)

    def wait(self, *, at_most_s: float = _LONGEST_WAIT_S) -> None:
        """Wait for the next work, and take the exits and notes that arrive meanwhile."""
        timeout_s = min(self._timeout_s(), at_most_s)
        if timeout_s > _LEISURE_S and not self._store_rests.is_on and not self._journal.tidy():
            self._store_rests.begin()
        events = exact_poll(self._parts.poll, timeout_s, self._clock)
        # Nothing came: look for commands anyway. Somebody may have removed the FIFO that
        # would wake the loop.
        self._mail.is_waiting = self._mail.is_waiting or not events
        for descriptor, _ in events:
            if self._processes.owns(descriptor):
                self._dispatcher.reap(descriptor)
            elif descriptor == self._parts.arrivals:
                self._parts.store.clear_arrivals()
                self._mail.is_waiting = True
            elif descriptor == self._parts.signals.descriptor:
                self._is_signalled = True
            elif descriptor == self._parts.nudge:
                os.eventfd_read(descriptor)
                self._reader.look_again()

    def obey(self, command: Command) -> Answer:
        """Carry out a command of this program itself, while no other runner is running.

        Raises StoreUnwritableError.
        """
        decision = self._decision()
        answered = answer(command, decision)
        if not self._commit(decision):
            raise StoreUnwritableError(self._journal.store_trouble)
        return answered

    @property
    def zone(self) -> str:
        """The IANA key for times without an offset: the settings' zone, or the system's
        current one.
        """
        return self._zones.zone

    @property
    def is_executing(self) -> bool:
        """Whether an execution that this runner claimed has not ended yet."""
        return any(not execution.is_inherited for execution in self.in_progress)

    def _take_over(self) -> None:
        """Take over what a former runner left: requests, states and executions."""
        snapshot = self._parts.snapshot
        with self._parts.store.legible():
            # Use the zone of the former runner. If the zone has changed since, that is
            # noticed later like any other change.
            zone = snapshot.meta.get(zone_change.ZONE, self.zone)
            use_zone_data(zone_change.zone_data_of(snapshot.meta))
            self.registry.load(self._parts.rows, zone=zone, accepted=self._parts.reloader.accepted)
            executions = [execution_of(row) for row in snapshot.executions]
        self._stored = self.registry.requests
        if zone == self.zone:
            self._parts.reloader.recall(self.registry.requests)
        boot = boot_id()
        self._dispatcher.take_over(executions, is_same_boot=snapshot.meta.get("boot") == boot)
        self._adopted = adopted_words(self.in_progress)
        self._journal.note_meta(
            {
                "boot": boot,
                "pid": str(os.getpid()),
                "version": __version__,
                "started": str(to_microseconds(self._clock.now())),
                "stopping": "",
            }
            | ({ALIVE: str(os.getpid())} if self._is_firing else {})
        )

    def _decision(self, *, is_closing: bool = False) -> Decision:
        """Begin a decision with the follow-ups of ended executions.

        So each end is committed together with what follows it.
        """
        decision = Decision(
            self._clock.now(),
            registry=self.registry,
            in_progress=self.in_progress,
            line=self._parts.recorder.line,
            settings=self.settings,
            git=self._git,
            is_stopping=self._stopping.is_asked,
            is_closing=is_closing or self._stopping.is_out_of_patience,
            starts_inherited=self._is_firing,
            clock_trouble=self._watch.trouble,
            jobs_trouble=self._jobs_lock.trouble,
            awaited_from=self._watch.awaited_from,
        )
        decision.follow(self._dispatcher.ended)
        return decision

    def _decide(self) -> None:
        """Decide about waiting executions, due fires and commands, commit, and apply it.

        The order matters: a fire that is due now stays due, whatever a command then says.
        """
        try:
            self._mail.take()
        except StoreError:
            self._store_rests.begin()
        due = self.registry.take_due() if self._is_serving and not self._stopping.is_asked else []
        overdue = self._dispatcher.take_overdue_groups()
        if not (
            due
            or overdue
            or self._mail.is_taken
            or self._is_anybody_waiting()
            or self._journal.has_facts
        ):
            return
        decision = self._decision()
        for group in overdue:
            decision.claims.stop(group, Reason.TIMEOUT)
        if not self._stopping.is_asked:
            decision.claims.release_waiting()
        for name in due:
            decision.fire(name)
        self._mail.answer(decision)
        if self._commit(decision):
            self._mail.forget_answered()
        else:
            self._dispatcher.still_overdue(overdue)
        for name in due:
            if self.registry.states.get(name) is not decision.states.get(name):
                self.registry.plan(name)  # no verdict yet, or the store refused

    def _is_anybody_waiting(self) -> bool:
        due_s = self.in_progress.next_due_s()
        return bool(self.in_progress.waiting) or (
            due_s is not None and due_s <= self._clock.now().timestamp()
        )

    def _commit(self, decision: Decision) -> bool:
        """Commit a decision with the facts, then apply it. Return False if the store refused."""
        decision.follow()
        if self._is_firing and (decision.batch or self._journal.has_facts):
            decision.batch.meta = self._watch.memory() | decision.batch.meta
        if not self._journal.commit(decision.batch):
            self._store_rests.begin()
            return False
        self.registry.accept(decision.states)
        self._dispatcher.carry_out(decision.claims)
        return True

    def _read_on(self) -> None:
        """Read the folder for one slice if necessary, and apply a complete reading."""
        if self._switch is None:
            reading = self._reader.advance(self.registry.incumbents(), READ_BUDGET_S)
            if reading is None:
                return
            asked = self._mail.reloads_before(reading.begun_s)
            is_emptying = any(command.allow_empty for command in asked.values())
            change = catalog_change.compare(reading, self.registry, allow_empty=is_emptying)
            self._switch = CatalogSwitch(change, self.registry, asked)
        self._switch_on(self._switch)

    def _switch_on(self, switch: CatalogSwitch) -> None:
        """Apply some more requests of a reading. If the store refuses, the next turn retries."""
        decision = self._decision()
        if switch.is_last:
            self._record_reload(switch, decision)
        switch.decide(decision, self.registry)
        if self._commit(decision) and switch.accept(self.registry):
            self._mail.forget_reloads(switch.asked)
            self._git = switch.change.reading.git_commit
            self._notifier.ready(begun_s=switch.change.reading.begun_s)
            self._switch = None

    def _record_reload(self, switch: CatalogSwitch, decision: Decision) -> None:
        """Record a reading, and answer the commands that asked for it."""
        change = switch.change
        if change.is_news(self.registry):
            by = next((command.requested_by for command in switch.asked.values()), None)
            decision.record(
                runner_reloaded(
                    self._about_after(change),
                    message=change.summary,
                    git_commit_before=self._git,
                    requested_by=by,
                    duration_s=self._clock.elapsed_s() - change.reading.begun_s,
                    changes=catalog_change.recorded_changes(change),
                )
            )
        if change.reading.git_commit != self._git:
            decision.batch.meta["git_commit"] = change.reading.git_commit or ""
        decision.batch.meta |= zone_change.meta_of_zones(self.zone)
        for command in switch.asked:
            decision.batch.answers[command] = change.answer.text()

    def _accept_change(self, change: catalog_change.CatalogChange) -> None:
        self._git = change.reading.git_commit
        self.registry.accept_catalog(change.changeover.in_force, change.reading.catalog)

    @property
    def _is_serving(self) -> bool:
        """Whether requests are registered and may fire; a wrong clock prevents both."""
        return self._has_begun and self._watch.trouble is None and self._jobs_lock.trouble is None

    def _reload_on_command(self) -> None:
        """Read the folder again at once. Raises RefusedError while nothing may be read."""
        if (trouble := self._watch.trouble or self._jobs_lock.trouble) is not None:
            raise RefusedError(trouble)
        self._reload()

    def _look_at_clock(self) -> None:
        """Decide what follows a step of the clock, and what follows enough time after it."""
        step = self._watch.look()
        if step is not None:
            decision = self._decision()
            clock_step.decide(step, decision, self.registry, self._about(), self._watch.trouble)
            self._follow_clock(decision, step)
        if self._watch.is_forgetting_due:
            decision = self._decision()
            clock_step.forget_verdicts(decision, self.registry)
            self._follow_clock(decision, None)
        if self._watch.is_saving_due:
            self._journal.note_meta(self._watch.memory() | {ALIVE: ""})
        is_ready = self._watch.trouble is None and not self._store_rests.is_on
        if not self._has_begun and is_ready and not self._stopping.is_asked:
            self._begin(is_start=False)

    def _prune(self) -> None:
        """Forget the states of requests that were removed long ago."""
        if names := self._pruning.due():
            decision = self._decision()
            decision.batch.pruned += names
            if self._commit(decision):
                self.registry.forget(names)

    def _follow_clock(self, decision: Decision, step: Step | None) -> None:
        self._pruning.postpone()
        self._housekeeping.distrust_clock()
        decision.batch.meta |= self._watch.memory_after(step)
        if self._commit(decision):
            self._watch.accept(step)
            self.registry.plan_all()

    def _note_zone_change(self) -> None:
        """Follow a change of the system's zone or zone data.

        Until the change is committed, the former zone data stays in use.
        """
        if (
            self._stopping.is_asked
            or self._switch is not None
            or (change := self._zones.look()) is None
        ):
            return
        former, decision = zone_data_in_use(), self._decision()
        zone_change.decide(change, decision, self.registry, self._about())
        if self._commit(decision):
            self._zones.zone = change.zone
            self.registry.accept_rebuilt(decision.requests)
            self._reader.read_anew(catalog_reader(self.settings, change.zone))
        else:
            use_zone_data(former)

    def _note_result(self, fields: Mapping[str, Any]) -> None:
        """Keep the result of a request's last execution."""
        if (noted := with_result(self.registry.states, fields)) is not None:
            name, state = noted
            self.registry.remember(name, state)
            # `runner exec` reads the files without putting them in force: write the
            # stored definition back.
            requests = self.registry.requests if self._is_firing else self._stored
            self._journal.note_request(request_row(name, requests.get(name), state))
        self._journal.note_meta(unregistered_result(self.registry.states, fields))

    def _note_cut_off(self, execution: Execution) -> None:
        """Mark a one-time request whose execution was cut off by a restart."""
        name = current_name(execution.request, self.registry.states)
        request, state = self.registry.requests.get(name), self.registry.states.get(name)
        if request is None or state is None or execution.claim.generation is None:
            return
        marked = cut_off(request, state, execution.claim.generation)
        if marked is not state:
            self.registry.accept({request.name: marked})
            self._journal.note_request(request_row(request.name, request, marked))

    def _report_troubles(self) -> None:
        self._complaints.tell(
            {
                "the clock": self._watch.trouble,
                "the jobs folder": self._jobs_lock.trouble,
                "the store": self._journal.store_trouble,
                "the store's write-ahead log": self._journal.store_hindrance,
                "the monitor log": self._journal.log_trouble,
                "notification": self._reader.trouble if self._is_firing else None,
            }
        )
        if self._is_firing:
            self._trouble_note.write(self._journal.store_trouble)

    def _is_stopped_meanwhile(self) -> bool:
        """Return whether a signal asked the runner to stop while the loop could not turn."""
        self._is_signalled = True
        self._take_signals()
        return self._stopping.is_asked

    def _take_signals(self) -> None:
        if not self._is_signalled:
            return
        self._is_signalled = False
        for number in self._parts.signals.take():
            if number is signal.SIGHUP:
                self._notifier.reloading()
                self._reload()
            else:
                WATCH.note_stop()
                self._notifier.stopping()
                self._stopping.ask(number)
                self._journal.note_meta({"stopping": str(to_microseconds(self._clock.now()))})

    def _reload(self) -> None:
        self._zones.look_at_once()
        self._reader.look_again(at_once=True)

    def _is_done(self) -> bool:
        if not self._stopping.is_asked or self.in_progress.occupied:
            return False
        # Do not wait for a store or a log that refuses: the next start recovers the rest.
        return not self._journal.is_waiting or self._store_rests.is_on or self._log_rests.is_on

    def _timeout_s(self) -> float:
        """Return for how many seconds nothing is due."""
        elapsed_s = self._clock.elapsed_s()
        if self.in_progress.starting:
            return 0.0
        waits = [_LONGEST_WAIT_S]
        deadlines = (
            self._processes.next_deadline_s(),
            self._dispatcher.next_start_s(),
            self._stopping.next_s(),
            *self._waits_for_the_store(),
        )
        waits += [each - elapsed_s for each in deadlines if each is not None]
        if self._store_rests.is_on:
            waits.append(self._store_rests.left_s)
        else:
            idle_s = (
                self.registry.idle_s() if self._is_serving and not self._stopping.is_asked else None
            )
            waits += [] if idle_s is None else [idle_s]
            due_s = self.in_progress.next_due_s() if not self._stopping.is_asked else None
            waits += [] if due_s is None else [due_s - self._clock.now().timestamp()]
            is_reading = self._is_serving and (self._reader.is_reading or self._switch is not None)
            waits += [0.0] if self._journal.has_facts or self._mail.is_waiting or is_reading else []
        if self._journal.has_unwritten:
            waits.append(self._log_rests.left_s)
        return max(min(waits), 0.0)

    def _about(self) -> RunnerFacts:
        return about(self.settings, git_commit=self._git, requests=len(self.registry.requests))

    def _about_after(self, change: catalog_change.CatalogChange) -> RunnerFacts:
        requests = len(change.changeover.in_force.requests)
        return about(self.settings, git_commit=change.reading.git_commit, requests=requests)

    def _waits_for_the_store(self) -> tuple[float | None, ...]:
        """Return the deadlines that count only while the store accepts commits."""
        if self._store_rests.is_on:
            return ()
        own = (self._reader.next_s(), self._housekeeping.next_s) if self._is_serving else ()
        return self._dispatcher.next_deadline_s(), *own

    def _record_stop(self) -> None:
        uptime_s = self._clock.elapsed_s() - self._begun_s
        record = runner_stopped(self._about(), signal=self._stopping.signal, uptime_s=uptime_s)
        self._journal.record(record, self._clock.now())
        self._journal.note_meta(self._watch.memory() | {ALIVE: ""})
