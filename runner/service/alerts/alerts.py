"""The checks of all requests in memory, as the store has them, and their deadlines.

Only a commit changes them: `accept` applies what an `AlertDecision` has decided.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from runner.execution.deadlines import Deadlines
from runner.lifecycle import Check
from runner.planning.alerts.alert import Alert
from runner.planning.alerts.check_states import NOTHING, CheckState, check_from
from runner.planning.alerts.expectations import (
    COUNTED,
    HELD,
    Deadline,
    Limit,
    deadline_in,
    limit_of_state,
    limits_of_fire,
    limits_of_run,
)
from runner.planning.fires.firing import delay_of
from runner.planning.states.pauses import NOT_HELD, Held
from runner.requests.model import ProcessRequest
from runner.requests.policies import Route
from runner.service.alerts.notices import Notices
from runner.service.executions.execution import Execution
from runner.service.registry import Registry
from runner.service.situation import Situation
from runner.store.rows import AlertRow, Phase
from runner.timing.zones import END

Checks = Mapping[Check, CheckState]
"""The states of one request's checks; a check of which nothing is known is left out."""

_NO_CHECKS: Checks = {}
_SHIFTS, _NO_SHIFT = "clock_shifts", timedelta()


class Alerts:
    """What is known of the checks, by request; None stands for the runner itself.

    `routes` are the runner's, for itself and for requests without `notify`.
    """

    def __init__(self, registry: Registry, notices: Notices, routes: Sequence[Route]) -> None:
        self.notices = notices
        self.routes = routes
        self._registry = registry
        self._checks: dict[str | None, Checks] = {}
        self._limits: dict[str, Limit] = {}
        self._deadlines = Deadlines()
        self._shifts: Mapping[str, timedelta] = {}
        """By how much the clock stepped while an execution was in progress."""

    def use(self, routes: Sequence[Route]) -> None:
        """Put other routes of the runner in force."""
        self.routes = routes
        self.notices.use(routes)

    def load(self, rows: Iterable[AlertRow]) -> None:
        """Take over what a former runner left in the store."""
        for row in rows:
            name = row.request or None
            state = check_from(row.state)
            self._checks[name] = {**self.of(name), Check(row.check_name): state}

    def watch(self, executions: Iterable[Execution], situation: Situation) -> None:
        """Set every deadline, from what a former runner left."""
        for execution in executions:
            if (request := self._registry.requests.get(execution.request)) is not None:
                shift = self._shifts.get(execution.id, _NO_SHIFT)
                for deadline, limit in limits_of(execution, request):
                    known = self.of(deadline.request).get(deadline.check, NOTHING)
                    if deadline.overdue not in known.overdue:
                        self._limits[deadline.key] = limit._replace(begin=limit.begin + shift)
        for name, checks in self._checks.items():
            for check, limit in counted_limits(checks, self._registry.requests.get(name or "")):
                self._limits[Deadline(check=check, request=name, overdue="").key] = limit
        self.set_anew(situation)

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
        limits: Mapping[str, Limit | None],
        situation: Situation,
    ) -> None:
        """Put committed states and limits in force; a limit of None is dropped."""
        for request, checks in changed.items():
            if checks:
                self._checks[request] = checks
            else:
                self._checks.pop(request, None)
        for key, limit in limits.items():
            if limit is None:
                self._limits.pop(key, None)
                self._deadlines.drop(key)
            else:
                self._limits[key] = limit
                self._set(key, limit, situation)

    def shifts_after(self, step: timedelta, executions: Iterable[str]) -> dict[str, str]:
        """Return for the store's meta by how much the clock stepped during executions.

        Their rows have wall times. After a restart, only this says how much time is left.
        """
        shifts = {name: self._shifts.get(name, _NO_SHIFT) + step for name in executions}
        seconds = {name: shift.total_seconds() for name, shift in shifts.items()}
        return {_SHIFTS: json.dumps(seconds)}

    def take_shifts(self, shifts: Mapping[str, timedelta]) -> None:
        """Take what the store says."""
        self._shifts = shifts

    def set_anew(self, situation: Situation, *, step: timedelta | None = None) -> None:
        """Set every deadline anew, because a pause began or ended, or the clock stepped.

        Every execution then has as much time left as before the step. For the checks that
        count from an instant, `AlertDecision.note_step` has moved the instant.
        """
        for key, limit in self._limits.items():
            if step is not None and deadline_in(key).check not in COUNTED:
                limit = self._limits[key] = limit._replace(begin=limit.begin + step)
            self._set(key, limit, situation)

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

    def _set(self, key: str, limit: Limit, situation: Situation) -> None:
        due = limit.due(self._held(deadline_in(key)))
        if due < END:
            self._deadlines.set(key, situation.now_s + (due - situation.now).total_seconds())
        else:
            self._deadlines.drop(key)  # until the pause ends

    def _held(self, deadline: Deadline) -> Held:
        pauses = self._registry.pauses
        request = self._registry.requests.get(deadline.request or "")
        is_held = bool(pauses.known) and request is not None and deadline.check in HELD
        return pauses.held(request) if is_held and request is not None else NOT_HELD


def shifts_in(meta: Mapping[str, str]) -> dict[str, timedelta]:
    """Return by how much the clock stepped during executions, according to a store's meta."""
    seconds = json.loads(meta.get(_SHIFTS, "{}"))
    return {name: timedelta(seconds=each) for name, each in seconds.items()}


def limits_of(execution: Execution, request: ProcessRequest) -> Iterator[tuple[Deadline, Limit]]:
    """Yield the limits of an execution that has not ended."""
    if execution.claim.group is not None:
        return
    is_started = execution.started is not None and execution.phase is Phase.RUNNING
    if execution.claim.generation is not None:  # a rule asked for it, now or at a first attempt
        fire, delay = execution.claim.scheduled_for, delay_of(request)
        for deadline, limit in limits_of_fire(request, execution.id, fire, delay):
            is_late_start = deadline.check is Check.LATE_START
            if not is_late_start or not (is_started or execution.claim.attempt > 1):
                yield deadline, limit
    if execution.started is not None and is_started:
        yield from limits_of_run(request, execution.id, execution.started)


def counted_limits(checks: Checks, request: ProcessRequest | None) -> Iterator[tuple[Check, Limit]]:
    """Yield the limits of the checks that count from an instant."""
    for check in COUNTED:
        if (state := checks.get(check)) is not None:
            limit = limit_of_state(check, state, None if request is None else request.expect)
            if limit is not None:
                yield check, limit
