"""Follows the clock, the system's zone and the zone data through decisions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from runner.service.alerts.alerts import Alerts, shifts_in
from runner.service.clock_watch import ClockStep, ClockWatch
from runner.service.clocks import clock_step, zone_change
from runner.service.clocks.zone_change import ZoneWatch
from runner.service.deciding.decision import Decision
from runner.service.deciding.decision_maker import DecisionMaker
from runner.service.executions.in_progress import InProgress
from runner.service.housekeeping import Housekeeping
from runner.service.recording.journal import Journal
from runner.service.registry import Registry
from runner.timing.zones import use_zone_data, zone_data_in_use


class ClockFollower:
    """Looks at the clock and the zones in each turn, and decides what follows a change."""

    def __init__(
        self,
        *,
        watch: ClockWatch,
        zones: ZoneWatch,
        decisions: DecisionMaker,
        registry: Registry,
        alerts: Alerts,
        in_progress: InProgress,
        journal: Journal,
        read_anew: Callable[[str], None],
        housekeeping: Housekeeping,
    ) -> None:
        """`read_anew` reads all files again with another zone for times without an offset."""
        self._watch = watch
        self._zones = zones
        self._decisions = decisions
        self._registry = registry
        self._alerts = alerts
        self._in_progress = in_progress
        self._journal = journal
        self._read_anew = read_anew
        self._housekeeping = housekeeping

    def look_at_clock(self) -> None:
        """Decide what follows a step of the clock, and what follows enough time after it."""
        step = self._watch.look()
        if step is not None:
            decision, about = self._decisions.begin(), self._decisions.about()
            clock_step.decide(step, decision, self._registry, about, self._watch.trouble)
            self._follow_clock(decision, step)
        if self._watch.is_forgetting_due:
            decision = self._decisions.begin()
            clock_step.forget_verdicts(decision, self._registry)
            self._follow_clock(decision, None)
        if self._watch.is_saving_due:
            self._journal.note_meta(self._watch.memory())

    def look_at_zone(self) -> None:
        """Follow a change of the system's zone or zone data.

        Until the change is committed, the former zone data stays in use.
        """
        if (change := self._zones.look()) is None:
            return
        former, decision = zone_data_in_use(), self._decisions.begin()
        zone_change.decide(change, decision, self._registry, self._decisions.about())
        if self._decisions.commit(decision):
            self._zones.zone = change.zone
            self._registry.accept_rebuilt(decision.requests)
            self._read_anew(change.zone)
        else:
            use_zone_data(former)

    def _follow_clock(self, decision: Decision, step: ClockStep | None) -> None:
        self._housekeeping.distrust_clock()
        decision.batch.meta |= self._watch.memory_after(step)
        by = timedelta(seconds=0 if step is None else step.seconds)
        if step is not None:
            running = (execution.id for execution in self._in_progress)
            decision.batch.meta |= self._alerts.shifts_after(by, running)
        if self._decisions.commit(decision):
            self._watch.accept(step)
            self._registry.plan_all()
            if step is not None:
                self._alerts.take_shifts(shifts_in(decision.batch.meta))
                self._alerts.set_anew(decision.situation, step=by)
