"""Checks of a request without processes: the test says what happens, and what restarts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from support.executions_world import NOON, request

from runner.lifecycle import Channel, Check, ExecutionStatus, Reason
from runner.monitor.records import Record, Recorder
from runner.planning.alerts.alert import AlertChange
from runner.planning.alerts.check_states import Fact, News
from runner.planning.states.pauses import NO_PAUSES, Pause, Pauses, begun, resumed
from runner.requests.model import ProcessRequest, Source
from runner.requests.policies import Route
from runner.service.alerts.alert_decision import AlertDecision
from runner.service.alerts.alerts import Alerts, shifts_in
from runner.service.alerts.notices import Notices
from runner.service.executions.execution import Claim, Execution, execution_for
from runner.service.executions.outcomes import Ended, Outcome
from runner.service.registry import Registry
from runner.service.situation import Situation
from runner.store.rows import AlertRow, Batch, Phase
from runner.system.clock import SystemClock

REASONS = {
    ExecutionStatus.SUCCESS: None,
    ExecutionStatus.ERROR: Reason.EXIT_CODE,
    ExecutionStatus.KILLED: Reason.KILLED_BY_USER,
    ExecutionStatus.SKIPPED: Reason.CONCURRENT,
    ExecutionStatus.SYSTEM_RESTART: Reason.RUNNER_LOST,
}


class Notified(Notices):
    """Keeps the changes of alerts of which people would be notified."""

    def __init__(self) -> None:
        super().__init__(())
        self.changes: list[AlertChange] = []

    def add(
        self, changes: Sequence[AlertChange], requests: Mapping[str, ProcessRequest], batch: Batch
    ) -> None:
        self.changes += changes


@dataclass
class AlertsWorld:
    """One request, `a`, its executions in progress, and the store's rows of its checks."""

    request: ProcessRequest = field(default_factory=lambda: request("a"))
    routes: tuple[Route, ...] = ()
    now: datetime = NOON
    offset: timedelta = timedelta()
    """Elapsed time minus wall time."""
    pauses: Pauses = NO_PAUSES
    rows: dict[tuple[str, str], AlertRow] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)
    notified: Notified = field(default_factory=Notified)
    records: list[Record] = field(default_factory=list)
    meta: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.restart()

    @property
    def now_s(self) -> float:
        return (self.now + self.offset).timestamp()

    @property
    def requests(self) -> dict[str, ProcessRequest]:
        return {"a": self.request}

    @property
    def events(self) -> list[tuple[str, object, object]]:
        """Return the recorded events with their check and count."""
        return [
            (event.removeprefix("alert."), fields["check"], fields["count"])
            for event, fields in self.records
        ]

    def restart(self) -> None:
        """Begin again with what the store has."""
        self.registry = Registry(SystemClock())
        self.registry.pauses = self.pauses
        self.alerts = Alerts(self.registry, self.notified, self.routes)
        self._use(self.request)
        self.alerts.load(self.rows.values())
        self.alerts.take_shifts(shifts_in(self.meta))
        self.alerts.watch(self.executions.values(), self._moment)

    def pause(self) -> None:
        """Pause the request, until `resume`."""
        pause = Pause(begin=self.now, end=None, reason="tired", by="maria")
        self._put_pauses(begun(self.pauses, pause))

    def resume(self) -> None:
        """End the pause, if there is one."""
        self._put_pauses(resumed(self.pauses, None, self.now)[0])

    def step_clock(self, step: timedelta) -> None:
        """Set the clock; the elapsed time goes on."""
        self.offset -= step
        self.now += step
        decision = self._decision()
        decision.note_step(step)
        self.meta |= self.alerts.shifts_after(step, self.executions)
        self._commit(decision)
        self.alerts.take_shifts(shifts_in(self.meta))
        self.alerts.set_anew(self._moment, step=step)

    def _put_pauses(self, pauses: Pauses) -> None:
        self.pauses = self.registry.pauses = pauses
        self.alerts.set_anew(self._moment)

    def _use(self, request: ProcessRequest) -> None:
        self.request, self.registry.requests = request, {"a": request}

    @property
    def _moment(self) -> Situation:
        return Situation(now=self.now, now_s=self.now_s)

    def register(self, **changes: Any) -> None:
        """Put the request in force, with changes."""
        self._use(replace(self.request, **changes))
        decision = self._decision()
        decision.note_registered(self.request)
        self._commit(decision)

    def claim(self, name: str, **changes: Any) -> None:
        """Claim a fire of now; `changes` are those of its claim."""
        claim = Claim(
            id=name,
            request="a",
            process=self.request.process,
            channel=Channel.PROCESS_SCHEDULER,
            scheduled_for=self.now,
            generation=1,
            source=Source(file="a.yaml", line=1, sha256=""),
            output_file="/a",
        )
        claimed = execution_for(replace(claim, **changes), due=self.now)
        self.executions[name] = claimed
        decision = self._decision()
        decision.note_claimed(claimed, self.request)
        self._commit(decision)

    def start(self, name: str) -> None:
        """Let a claimed execution start."""
        started = replace(self.executions[name], phase=Phase.RUNNING, started=self.now)
        self.executions[name] = started
        decision = self._decision()
        decision.note_started(started, self.request)
        self._commit(decision)

    def end(
        self,
        name: str,
        status: ExecutionStatus,
        reason: Reason | None = None,
        *,
        is_last: bool = True,
    ) -> None:
        """End an execution; `is_last` says that no attempt follows."""
        outcome = Outcome(status=status, reason=reason or REASONS[status], message=None)
        ended = Ended(execution=self.executions.pop(name), outcome=outcome, line=b"{}")
        decision = self._decision()
        decision.note_ended(ended, self.request, is_last=is_last)
        self._commit(decision)

    def run(self, status: ExecutionStatus, reason: Reason | None = None) -> None:
        """Claim, start and end an execution."""
        self.claim("run")
        self.start("run")
        self.end("run", status, reason)

    def miss(self, count: int = 1) -> None:
        self._note(News(fact=Fact.MISSED, at=self.now, count=count))

    def retire(self) -> None:
        """Unschedule the request."""
        decision = self._decision()
        decision.note_retired("a", "unscheduled", is_removed=False)
        self._commit(decision)

    def wait(self, time: timedelta) -> None:
        """Let time pass, and note the deadlines that pass meanwhile, each on its time."""
        end_s = self.now_s + time.total_seconds()
        while (next_s := self.alerts.next_s()) is not None and next_s <= end_s:
            self.now += timedelta(seconds=max(next_s - self.now_s, 0))
            expired = self.alerts.take_expired(self.now_s)
            decision = self._decision()
            decision.note_expired(expired, self.requests)
            self._commit(decision)
        self.now += timedelta(seconds=end_s - self.now_s)

    def open(self) -> dict[Check, int]:
        """Return the open checks with their counts."""
        return {alert.check: alert.count for alert in self.alerts.open()}

    def _note(self, news: News) -> None:
        decision = self._decision()
        decision.note("a", self.request, news)
        self._commit(decision)

    def _decision(self) -> AlertDecision:
        return AlertDecision(self.alerts, self._moment)

    def _commit(self, decision: AlertDecision) -> None:
        batch = Batch()
        decision.finish(self.requests, batch, self._record)
        for row in batch.alerts:
            self.rows.pop((row.request, row.check_name), None)
            if row.state:
                self.rows[row.request, row.check_name] = row
        decision.accept()

    def _record(self, record: Record) -> bytes:
        self.records.append(record)
        return Recorder("runner", "host").line(record, self.now)
