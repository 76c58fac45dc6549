"""What one turn of the loop decides; nothing takes effect before the commit.

A decision reads the registry and the executions in progress, and sees its own earlier
steps on top of them. It changes neither. Pure, apart from the batch that it fills.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from runner.lifecycle import Channel, ExecutionStatus, RequestStatus
from runner.monitor.event_facts import OutcomeFacts, RunnerFacts
from runner.monitor.records import Event, Record
from runner.notifying.sending.delivery import Ping
from runner.planning.alerts.check_states import Fact, News
from runner.planning.alerts.expectations import Deadline
from runner.planning.changeover import resulting_states
from runner.planning.fires.claims_ahead import verdict_at
from runner.planning.fires.firing import Miss, delay_of, settle
from runner.planning.fires.planned_status import Registration, RequestChange
from runner.planning.states.pauses import Pause, renamed
from runner.planning.states.renaming import current_name
from runner.planning.states.results import is_result
from runner.planning.states.state import RequestState
from runner.planning.transitions.failures_in_a_row import counted, stop_words
from runner.requests.model import ProcessRequest
from runner.service.alerts.alert_decision import AlertDecision
from runner.service.alerts.alerts import Alerts
from runner.service.alerts.pings import PINGED, end_ping, start_ping
from runner.service.deciding import spans
from runner.service.deciding.change_records import change_record, runner_facts, why_retired
from runner.service.deciding.drafted_states import DraftedStates
from runner.service.executions.claiming.claims import Claims
from runner.service.executions.claiming.follow_ups import FollowUps
from runner.service.executions.execution import Ask, Execution
from runner.service.executions.execution_records import result_row
from runner.service.executions.in_progress import InProgress
from runner.service.executions.outcomes import Ended, Outcome
from runner.service.registry import Registry
from runner.service.runner_settings import Settings
from runner.service.situation import Situation

LineOf = Callable[[Record, datetime], bytes]
"""Returns a record's line for the monitor log, with the given instant as its time."""

_LAST_FIRE = "the last fire is due now"
"""The message of a completed request. Its record comes before those of the last execution:
it is committed with the claim, before anything is spawned.
"""


class Decision(DraftedStates):
    """Collects states, claims and records into `batch` at one moment.

    A reload replaces `requests` and `git`; the other attributes only collect.
    """

    def __init__(
        self,
        situation: Situation,
        *,
        registry: Registry,
        in_progress: InProgress,
        alerts: Alerts,
        line_of: LineOf,
        settings: Settings,
    ) -> None:
        super().__init__(registry)
        self.situation = situation
        self.now = situation.now
        self.git = situation.git
        self.claims = Claims(
            situation,
            in_progress=in_progress,
            batch=self.batch,
            settings=settings,
            record=self.record,
        )
        self.alerts = AlertDecision(alerts, situation)
        self.pings: list[tuple[str, Ping]] = []
        """What to send after the commit, with the names of the requests."""
        self._settings = settings
        self._line_of = line_of

    def record(self, record: Record) -> bytes:
        """Add a record to the decision; return its line."""
        if record.event is Event.EXECUTION_FINISHED and is_result(record.fields):
            self.batch.results.append(result_row(record.fields, self.all_states))
        line = self._line_of(record, self.now)
        self.batch.records.append(line)
        return line

    def follow(self, ended: Iterable[Ended] = (), started: Iterable[Execution] = ()) -> None:
        """Decide what follows `ended` and the executions that this decision ended itself.

        `started` are executions whose process has started; they may have ended since.
        """
        for execution in started:
            self._note_started(execution)
        self.claims.withdraw(self.states)
        FollowUps(self.claims, self.requests, self._note_ended).follow(ended)
        while self.claims.started:
            self._note_started(self.claims.started.pop())

    def finish(self) -> None:
        """Take the last step before the commit: follow, then settle the alerts."""
        self.follow()
        for name, state in self.states.items():
            is_unscheduled = state.status is RequestStatus.UNSCHEDULED
            # The alert about the failures that unscheduled a request stays open.
            if state.removed or (is_unscheduled and not state.is_stopped_by_failures):
                self.alerts.note_retired(name, why_retired(state), is_removed=state.removed)
        self.alerts.finish(self.requests, self.batch, self.record)

    def note_expired(self, deadlines: Iterable[Deadline]) -> None:
        """Note the deadlines of checks that have passed."""
        self.alerts.note_expired(
            (each for each in deadlines if not self.is_unscheduled(each.request)), self.requests
        )

    def _note_started(self, execution: Execution) -> None:
        if (request := self._watched(execution)) is not None:
            self.alerts.note_started(execution, request)
            # If the condition is not met, no ping follows that of the start.
            has_condition = execution.claim.process.condition is not None
            if request.ping is not None and execution.claim.attempt == 1 and not has_condition:
                self.pings.append((request.name, start_ping(request.ping, execution.id)))

    def _note_ended(self, ended: Ended, is_last: bool) -> None:
        if (request := self._watched(ended.execution)) is not None:
            is_counted = not self.is_unscheduled(request.name)
            self.alerts.note_ended(ended, request, is_last=is_last, is_counted=is_counted)
            if is_last and ended.execution.claim.generation is not None:
                self._count(request, ended.outcome.status)
            if request.ping is not None and is_last and ended.outcome.status in PINGED:
                outcome, execution = ended.outcome, ended.execution.id
                ping = end_ping(request.ping, execution, outcome.status, outcome.exit_code)
                self.pings.append((request.name, ping))

    def _count(self, request: ProcessRequest, status: ExecutionStatus) -> None:
        """Count the result of a fire; too many failures in a row unschedule the request."""
        state = self.state(request.name)
        result = None if state is None else counted(request, state, status, self.now)
        if result is None:
            return
        if result.change is None:
            self.put(request.name, result.state)
        else:
            self.register(request.name, result, message=stop_words(result.state))

    def _watched(self, execution: Execution) -> ProcessRequest | None:
        """Return the request whose alerts an execution concerns; None for a group's member."""
        if execution.claim.group is not None:
            return None
        return self.requests.get(current_name(execution.request, self.all_states))

    def about(self) -> RunnerFacts:
        """Return what all records about this runner contain."""
        return runner_facts(self._settings, requests=len(self.requests), git=self.git)

    def register(
        self,
        name: str,
        registration: Registration,
        *,
        by: str | None = None,
        message: str | None = None,
    ) -> None:
        """Apply a registration from planning, and record it with a message."""
        former = registration.renamed_from or name
        if registration.renamed_from is not None:
            self.batch.renamed[former] = name
        state = registration.state
        if name in self.requests and state.status is not RequestStatus.UNSCHEDULED:
            self.alerts.note_registered(self.requests[name])
        if registration.renamed_from is not None and self.pauses.known:
            self.put_pauses(renamed(self.pauses, former, name))
        if registration.abandoned is not None:
            self._record_abandoned(former, registration.abandoned)
        for each, written in resulting_states(
            name, registration, self.all_states, self.now
        ).items():
            self.put(each, written)
        if registration.change is not None:
            self._record_change(
                name,
                registration.change,
                state,
                by=by,
                former=registration.renamed_from,
                message=message,
            )
        if registration.miss is not None:
            self._record_not_run(self.requests[name], state, registration.miss)

    def fire(self, name: str) -> None:
        """Claim the due fires of a request, and record the missed ones.

        Without a due fire, claim the next one if its time comes within `AHEAD` (5 ms): the
        commit takes about that long, and the process can then start on time.
        """
        request, state = self.requests.get(name), self.state(name)
        if request is None or state is None:
            return
        held = self.pauses.held(request)
        at = verdict_at(request, state, self.now, held)
        if at > self.now and not self.claims.can_claim_ahead(request, self.requests):
            return
        settlement = settle(request, state, at, awaited_from=self.situation.awaited_from, held=held)
        if settlement.state == state:
            return  # nothing is due
        self.put(name, settlement.state)
        for miss in settlement.misses:
            self._record_not_run(request, state, miss)
        ask = Ask(
            channel=Channel.PROCESS_SCHEDULER,
            generation=state.generation,
            by=state.pressed_by,
        )
        for fire in settlement.claims:
            self.claim(request, fire, ask)
        if settlement.state.status is not state.status:
            message = _LAST_FIRE if settlement.claims else None
            self._record_change(
                name, RequestChange.COMPLETED, settlement.state, by=None, message=message
            )

    def claim(
        self, request: ProcessRequest, scheduled_for: datetime, ask: Ask
    ) -> tuple[Execution, Outcome | None]:
        """Claim one run of a request, as `Claims.claim` does."""
        claimed, outcome = self.claims.claim(
            request, self.requests, scheduled_for, ask, git=self.git
        )
        if outcome is None:
            self.alerts.note_claimed(claimed, request)
        return claimed, outcome

    def _record_change(
        self,
        name: str,
        change: RequestChange,
        state: RequestState,
        *,
        by: str | None,
        former: str | None = None,
        message: str | None = None,
    ) -> None:
        request = self.definition(name)
        message = f"renamed from {former}" if former else message
        record = change_record(name, change, state, request, git=self.git, by=by, message=message)
        self.record(record)

    def record_span(
        self,
        request: ProcessRequest,
        span: Miss,
        outcome: OutcomeFacts,
        *,
        channel: Channel = Channel.PROCESS_SCHEDULER,
        generation: int | None = None,
        by: str | None = None,
    ) -> Mapping[str, Any]:
        """Record fires of a request that did not run, and return the fields of the record."""
        record = spans.record_of(
            request, span, outcome, git=self.git, channel=channel, generation=generation, by=by
        )
        self.record(record)
        return record.fields

    def _record_abandoned(self, name: str, span: Miss) -> None:
        request, state = self._registry.requests[name], self._registry.states[name]
        is_paused = self._pause_of(request, span) is not None
        self._record_not_run(request, state, replace(span, is_paused=is_paused))

    def _record_not_run(self, request: ProcessRequest, state: RequestState, span: Miss) -> None:
        if span.is_paused:
            pause = self._pause_of(request, span)
            outcome = spans.held(span, pause.reason if pause else None)
            self.record_span(request, span, outcome, generation=state.generation)
            return
        outcome = spans.missed(span)
        fields = self.record_span(request, span, outcome, generation=state.generation)
        news = News(
            fact=Fact.MISSED,
            at=self.now,
            message=outcome.message or "",
            count=span.count,
            record=fields,
        )
        self.alerts.note(request.name, request, news)

    def _pause_of(self, request: ProcessRequest, span: Miss) -> Pause | None:
        """Return the pause that held the last fire of a span."""
        return self.pauses.holding(request, span.last + delay_of(request))
