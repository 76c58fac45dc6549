"""The alerts' part of a decision: what happened, and which alerts that opens or closes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from runner.lifecycle import Channel, Check
from runner.monitor.event_facts import AlertFacts
from runner.monitor.events import alert_closed, alert_opened
from runner.monitor.records import Record, decode
from runner.planning.alerts.alert import Alert, AlertChange, Change
from runner.planning.alerts.check_states import (
    NOTHING,
    CheckState,
    Fact,
    News,
    after_news,
    check_text,
    concerns,
)
from runner.planning.alerts.execution_facts import fact_of_end
from runner.planning.alerts.expectations import COUNTED, Deadline, Limit, fire_name, words_of
from runner.planning.alerts.routes import is_watched, routes_of, threshold
from runner.requests.model import ProcessRequest
from runner.requests.policies import NO_EXPECTATIONS
from runner.service.alerts.alerts import Alerts, Checks, counted_limits, limits_of
from runner.service.executions.execution import Execution
from runner.service.executions.outcomes import Ended
from runner.service.situation import Situation
from runner.store.rows import AlertRow, Batch

_CHECKS_OF = {fact: tuple(check for check in Check if concerns(check, fact)) for fact in Fact}
_EVENTS: Mapping[Change, Callable[[AlertFacts], Record]] = {
    Change.OPENED: alert_opened,
    Change.CLOSED: alert_closed,
}


class AlertDecision:
    """Collects new states of checks on top of the committed ones.

    `finish` is the last step before the commit, `accept` follows it.
    """

    def __init__(self, alerts: Alerts, situation: Situation) -> None:
        self._alerts = alerts
        self._situation, self._now = situation, situation.now
        self._states: dict[str | None, dict[Check, CheckState]] = {}
        self._limits: dict[str, Limit | None] = {}
        self._changes: list[AlertChange] = []

    def of(self, request: str | None) -> Checks:
        """Return what is known of a request's checks, as this decision sees it."""
        known = self._states.get(request)
        return self._alerts.of(request) if known is None else known

    def note(
        self, name: str | None, request: ProcessRequest | None, news: News, *checks: Check
    ) -> None:
        """Note what happened to the request `name`, or to the runner itself.

        `request` is its definition: None for the runner, and for a request without a valid
        file. `checks` limits the news to some checks.
        """
        routes = routes_of(request, self._alerts.routes)
        for check in checks or _CHECKS_OF[news.fact]:
            before = self.of(name).get(check, NOTHING)
            if before is NOTHING and not is_watched(check, routes):
                continue
            after = threshold(check, routes)
            state, change = after_news((name, check), before, news, after=after)
            if state != before:
                self._put(name, check, state)
            if change is not None:
                self._changes.append(change)

    def note_claimed(self, execution: Execution, request: ProcessRequest) -> None:
        """Set the deadlines of a fire that was just claimed."""
        if request.expect != NO_EXPECTATIONS:
            self._limits.update(_by_key(limits_of(execution, request)))

    def note_started(self, execution: Execution, request: ProcessRequest) -> None:
        """Note the start of an execution."""
        name = request.name
        if self.of(name):
            news = self._news_of(execution, Fact.STARTED, "an execution started", execution.id)
            self.note(name, request, news, *_checks_of_start(execution))
        if request.expect != NO_EXPECTATIONS:
            self._drop(Check.LATE_START, name, execution.id)
            self._limits.update(_by_key(limits_of(execution, request)))

    def note_ended(
        self, ended: Ended, request: ProcessRequest, *, is_last: bool, is_counted: bool = True
    ) -> None:
        """Note the end of an execution; `is_last` says that no further attempt follows.

        The result of an unscheduled request does not count.
        """
        execution, outcome, name = ended.execution, ended.outcome, request.name
        # The process of `on_success` or `on_failure` is DIRECT too, but has such variables.
        is_follow_up = bool(execution.claim.extra_variables)
        is_by_person = execution.claim.channel is Channel.DIRECT and not is_follow_up
        message = outcome.message or f"ended with status {outcome.status}"
        fact = fact_of_end(outcome.status, outcome.reason, is_by_person=is_by_person)
        is_news = fact is not Fact.SUCCEEDED or bool(self.of(name))
        if fact is not None and is_news and is_last and is_counted:
            record = None if fact is Fact.SUCCEEDED else decode(ended.line)
            self.note(name, request, self._news_of(execution, fact, message, record=record))
        if request.expect != NO_EXPECTATIONS or self.of(name):
            checks = [(Check.LATE_START, execution.id), (Check.OVERRUN, execution.id)]
            if is_last:
                checks.append((Check.LATE, fire_name(execution.claim.scheduled_for)))
            for check, overdue in checks:
                self._drop(check, name, overdue)
                news = self._news_of(execution, Fact.ENDED, message, overdue)
                self.note(name, request, news, check)

    def note_expired(
        self, deadlines: Iterable[Deadline], requests: Mapping[str, ProcessRequest]
    ) -> None:
        """Note the deadlines that have passed, unless this decision has just met them."""
        for deadline in deadlines:
            if deadline.key in self._limits:
                continue
            request = requests.get(deadline.request or "")
            message = words_of(deadline, NO_EXPECTATIONS if request is None else request.expect)
            news = News(fact=Fact.EXPIRED, at=self._now, message=message, overdue=deadline.overdue)
            self._limits[deadline.key] = None
            self.note(deadline.request, request, news, deadline.check)

    def note_retired(self, name: str, why: str, *, is_removed: bool) -> None:
        """Close the alerts of a request that is unscheduled or removed, and forget its counts.

        The alert about a rejected file stays open.
        """
        news = News(fact=Fact.RETIRED, at=self._now, message=why)
        for check in sorted(self.of(name).keys() - {Check.INVALID}):
            self.note(name, None, news, check)
            if is_removed:
                self._put(name, check, NOTHING)

    def note_step(self, step: timedelta) -> None:
        """Follow a step of the clock: move each `counted_from`, so that its age stays."""
        for name, checks in self._alerts:
            for check, state in checks.items():
                is_kept = self.of(name).get(check) is state  # not set anew by this decision
                if state.counted_from is not None and is_kept:
                    moved = replace(state, counted_from=state.counted_from + step)
                    self._put(name, check, moved)

    def note_rejections(self, problems: Mapping[str, str]) -> None:
        """Note all requests that have a rejected file, each with its first problem."""
        for name, problem in problems.items():
            news = News(fact=Fact.COUNTING, at=self._now, message=problem)
            self.note(name, None, news, Check.INVALID)
        over = News(fact=Fact.WORKS, at=self._now, message="no longer rejected")
        for known, checks in self._alerts:
            if Check.INVALID in checks and known not in problems:
                self.note(known, None, over, Check.INVALID)

    def note_registered(self, request: ProcessRequest) -> None:
        """Note a request that is new or changed."""
        is_expected = request.expect.success_every is not None
        fact = Fact.COUNTING if is_expected else Fact.RETIRED
        news = News(fact=fact, at=self._now, message="a success is no longer expected")
        self.note(request.name, request, news, Check.ABSENT)
        self._states.setdefault(request.name, dict(self.of(request.name)))

    def acknowledge(self, name: str | None, check: Check, *, by: str, until: datetime) -> None:
        """Silence an open alert until a time. If it opens again, it is not silent."""
        state = self.of(name)[check]
        silenced = replace(state, acknowledged_by=by, acknowledged_until=until)
        self._put(name, check, silenced)

    def finish(
        self,
        requests: Mapping[str, ProcessRequest],
        batch: Batch,
        record: Callable[[Record], bytes],
    ) -> None:
        """Add the changed states, their records and the notifications to the batch."""
        for name, checks in self._states.items():
            before = self._alerts.of(name)
            for check in checks.keys() | before.keys():
                if (state := checks.get(check, NOTHING)) != before.get(check, NOTHING):
                    text = "" if state == NOTHING else check_text(state)
                    batch.alerts.append(AlertRow(request=name or "", check_name=check, state=text))
            self._set_counted(name, checks, requests.get(name or ""))
        for change in self._changes:
            if (event := _EVENTS.get(change.change)) is not None:
                record(event(_facts_of(change.alert)))
        if self._changes:
            self._alerts.notices.add(self._changes, requests, batch)

    def accept(self) -> None:
        """Put what was committed in force."""
        self._alerts.accept(self._states, self._limits, self._situation)

    def _news_of(
        self,
        execution: Execution,
        fact: Fact,
        message: str,
        overdue: str | None = None,
        *,
        record: Mapping[str, object] | None = None,
    ) -> News:
        return News(
            fact=fact,
            at=self._now,
            message=message,
            execution=execution.id,
            overdue=overdue,
            record=record,
        )

    def _put(self, name: str | None, check: Check, state: CheckState) -> None:
        checks = self._states.setdefault(name, dict(self.of(name)))
        if state == NOTHING:
            checks.pop(check, None)
        else:
            checks[check] = state

    def _set_counted(
        self, name: str | None, checks: Checks, request: ProcessRequest | None
    ) -> None:
        """Set the limits of the checks that count from an instant, and drop the others."""
        limits = dict(counted_limits(checks, request))
        for check in COUNTED:
            key = Deadline(check=check, request=name, overdue="").key
            self._limits[key] = limits.get(check)

    def _drop(self, check: Check, name: str, overdue: str) -> None:
        self._limits[Deadline(check=check, request=name, overdue=overdue).key] = None


def _checks_of_start(execution: Execution) -> tuple[Check, ...]:
    """Return the checks that a start concerns. With a condition, the end shows what ran."""
    has_condition = execution.claim.process.condition is not None
    return tuple(
        check
        for check in _CHECKS_OF[Fact.STARTED]
        if not (has_condition and check is Check.SKIPPED)
    )


def _by_key(limits: Iterable[tuple[Deadline, Limit]]) -> dict[str, Limit]:
    return {deadline.key: limit for deadline, limit in limits}


def _facts_of(alert: Alert) -> AlertFacts:
    return AlertFacts(
        request=alert.request,
        check=alert.check,
        since=alert.since,
        count=alert.count,
        execution=alert.execution,
        message=alert.message,
    )
