"""Begins decisions, commits them, and applies what was committed. No other module commits
a decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.monitor.event_facts import RunnerFacts
from runner.service.alerts.alerts import Alerts
from runner.service.alerts.pings import Pings
from runner.service.deciding import backfilling
from runner.service.deciding.change_records import runner_facts
from runner.service.deciding.decision import Decision, LineOf
from runner.service.executions.dispatching.dispatcher import Dispatcher
from runner.service.executions.in_progress import InProgress
from runner.service.recording.journal import Journal
from runner.service.registry import Registry
from runner.service.runner_settings import Settings
from runner.service.situation import Situation
from runner.service.stopping import Stopping
from runner.service.trouble import Cooldown
from runner.system.clock import Clock

if TYPE_CHECKING:
    from runner.service.clock_watch import ClockWatch
    from runner.service.jobs_lock import JobsLock


class DecisionMaker:
    """The way of every change: `begin` a decision, fill it, and `commit` it.

    `git` is the revision of the jobs folder in force. `pause` is on for a moment after the
    store refused; nothing is decided then.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        registry: Registry,
        in_progress: InProgress,
        alerts: Alerts,
        pings: Pings,
        journal: Journal,
        line_of: LineOf,
        dispatcher: Dispatcher,
        stopping: Stopping,
        watch: ClockWatch,
        jobs_lock: JobsLock,
        is_firing: bool,
    ) -> None:
        self.git: str | None = None
        self.pause = Cooldown(clock)
        self.is_firing = is_firing
        self._settings = settings
        self._clock = clock
        self._registry = registry
        self._in_progress = in_progress
        self._alerts = alerts
        self._pings = pings
        self._journal = journal
        self._line_of = line_of
        self._dispatcher = dispatcher
        self._stopping = stopping
        self._watch = watch
        self._jobs_lock = jobs_lock

    @property
    def trouble(self) -> str | None:
        """Why nothing may be read or fire: a wrong clock, or another runner's folder."""
        return self._watch.trouble or self._jobs_lock.trouble

    def begin(self, *, is_closing: bool = False) -> Decision:
        """Begin a decision with the follow-ups of ended executions.

        So each end is committed together with what follows it.
        """
        # The wall time first: if the process is paused in between, a claim ahead of its
        # time starts later, never earlier.
        now = self._clock.now()
        situation = Situation(
            now=now,
            now_s=self._clock.elapsed_s(),
            git=self.git,
            is_stopping=self._stopping.is_asked,
            is_closing=is_closing or self._stopping.is_out_of_patience,
            # `runner exec` leaves the executions of a former runner to the next runner.
            starts_inherited=self.is_firing,
            claims_ahead=self._dispatcher.is_local,
            clock_trouble=self._watch.trouble,
            jobs_trouble=self._jobs_lock.trouble,
            awaited_from=self._watch.awaited_from,
        )
        decision = Decision(
            situation,
            registry=self._registry,
            in_progress=self._in_progress,
            alerts=self._alerts,
            line_of=self._line_of,
            settings=self._settings,
        )
        decision.follow(self._dispatcher.ended, self._dispatcher.started)
        return decision

    def commit(self, decision: Decision) -> bool:
        """Commit a decision with the facts, then apply it. Return False if the store refused."""
        if self.is_firing:
            backfilling.advance(decision, self._registry.backfilling)
        decision.finish()
        if self.is_firing and (decision.batch or self._journal.has_facts):
            decision.batch.meta = self._watch.memory() | decision.batch.meta
        if not self._journal.commit(decision.batch):
            self.pause.begin()
            return False
        self._registry.accept(decision.states)
        decision.alerts.accept()
        self._alerts.notices.accept(decision.batch)
        for name, ping in decision.pings:
            self._pings.add(name, ping)
        if decision.pauses is not self._registry.pauses:
            self._registry.accept_pauses(decision.pauses)
            self._alerts.set_anew(decision.situation)
        self._dispatcher.carry_out(decision.claims)
        return True

    def about(self) -> RunnerFacts:
        """Return what all records about this runner contain."""
        return runner_facts(self._settings, requests=len(self._registry.requests), git=self.git)
