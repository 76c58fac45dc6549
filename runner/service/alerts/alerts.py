"""The checks of all requests in memory, as the store has them, and their deadlines.

Only a commit changes them: `accept` applies what an `AlertDecision` has decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from runner.execution.deadlines import Deadlines
from runner.lifecycle import Channel, Check
from runner.planning.alerts.alert import Alert
from runner.planning.alerts.check_states import NOTHING, CheckState, check_from
from runner.planning.alerts.expectations import (
    Deadline,
    deadline_in,
    deadline_of_run,
    deadline_of_state,
    deadlines_of_fire,
)
from runner.planning.states.firing import delay_of
from runner.requests.model import ProcessRequest, Route
from runner.service.alerts.notifications import Notifications
from runner.service.executions.execution import Execution
from runner.store.rows import AlertRow, Phase

Checks = Mapping[Check, CheckState]
"""The states of one request's checks; a check of which nothing is known is left out."""

_NO_CHECKS: Checks = {}
COUNTED = (Check.ABSENT, Check.INVALID, Check.RELOAD)
"""The checks that count from an instant."""


class Alerts:
    """What is known of the checks, by request; None stands for the runner itself.

    `routes` are the runner's, for itself and for requests without `notify`.
    """

    def __init__(self, notifications: Notifications, routes: Sequence[Route]) -> None:
        self.notifications = notifications
        self.routes = routes
        self._checks: dict[str | None, Checks] = {}
        self._deadlines = Deadlines()

    def load(self, rows: Iterable[AlertRow]) -> None:
        """Take over what a former runner left in the store."""
        for row in rows:
            name = row.request or None
            state = check_from(row.state)
            self._checks[name] = {**self.of(name), Check(row.check_name): state}

    def of(self, request: str | None) -> Checks:
        """Return what is known of one request's checks."""
        return self._checks.get(request, _NO_CHECKS)

    def __iter__(self) -> Iterator[tuple[str | None, Checks]]:
        return iter(self._checks.items())

    def open(self) -> Iterator[Alert]:
        """Yield the open alerts."""
        for request, checks in self._checks.items():
            for check, state in checks.items():
                if (alert := state.alert((request, check))) is not None:
                    yield alert

    def accept(
        self,
        changed: Mapping[str | None, Checks],
        deadlines: Mapping[str, float | None],
    ) -> None:
        """Put committed states and deadlines in force; a deadline of None is dropped."""
        for request, checks in changed.items():
            if checks:
                self._checks[request] = checks
            else:
                self._checks.pop(request, None)
        for key, due_s in deadlines.items():
            if due_s is None:
                self._deadlines.drop(key)
            else:
                self._deadlines.set(key, due_s)

    def watch(
        self,
        executions: Iterable[Execution],
        requests: Mapping[str, ProcessRequest],
        now: datetime,
        now_s: float,
    ) -> None:
        """Set every deadline anew, from what a former runner left."""
        for execution in executions:
            if (request := requests.get(execution.request)) is not None:
                for deadline, due in deadlines_of(execution, request):
                    if deadline.overdue not in self._state(deadline).overdue:
                        self._deadlines.set(deadline.key, now_s + (due - now).total_seconds())
        for request_name, checks in self._checks.items():
            for check, due in counted_deadlines(checks, requests.get(request_name or "")):
                key = Deadline(check=check, request=request_name, overdue="").key
                self._deadlines.set(key, now_s + (due - now).total_seconds())

    def next_s(self) -> float | None:
        """Return the earliest deadline in elapsed seconds; None without one."""
        return self._deadlines.next_s()

    def take_expired(self, now_s: float) -> list[Deadline]:
        """Remove and return the deadlines that have passed, earliest first."""
        return [deadline_in(key) for key in self._deadlines.take(now_s)]

    def put_back(self, deadlines: Iterable[Deadline], now_s: float) -> None:
        """Set deadlines again, because the store refused what followed them."""
        for deadline in deadlines:
            self._deadlines.set(deadline.key, now_s)

    def _state(self, deadline: Deadline) -> CheckState:
        return self.of(deadline.request).get(deadline.check, NOTHING)


def deadlines_of(
    execution: Execution, request: ProcessRequest
) -> Iterator[tuple[Deadline, datetime]]:
    """Yield the deadlines of an execution that has not ended."""
    if execution.claim.group is not None:
        return
    is_started = execution.started is not None and execution.phase is Phase.RUNNING
    if execution.claim.channel in (Channel.PROCESS_SCHEDULER, Channel.RETRY):
        fire, delay = execution.claim.scheduled_for, delay_of(request)
        for deadline, due in deadlines_of_fire(request, execution.id, fire, delay):
            is_late_start = deadline.check is Check.LATE_START
            if not is_late_start or not (is_started or execution.claim.attempt > 1):
                yield deadline, due
    if execution.started is not None and is_started:
        of_run = deadline_of_run(request, execution.id, execution.started)
        if of_run is not None:
            yield of_run


def counted_deadlines(
    checks: Checks, request: ProcessRequest | None
) -> Iterator[tuple[Check, datetime]]:
    """Yield the deadlines of the checks that count from an instant."""
    for check in COUNTED:
        if (state := checks.get(check)) is not None:
            due = deadline_of_state(check, state, None if request is None else request.expect)
            if due is not None:
                yield check, due
