"""The registered requests, their states, and when each is due, in memory. Only a commit
changes them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime

from runner.errors import RunnerError
from runner.planning.fires.claims_ahead import claimable_at
from runner.planning.fires.firing import delay_of, due_at
from runner.planning.last_good import InForce
from runner.planning.states.pauses import NO_PAUSES, Held, Pauses, pauses_in
from runner.planning.states.state import RequestState, state_from, state_text, watermark
from runner.requests.building.stored import definition_text, request_from_definition
from runner.requests.catalog.cached_requests import outlines_of
from runner.requests.catalog.catalog import Catalog, Rejection
from runner.requests.model import ProcessRequest
from runner.store.rows import RequestRow
from runner.system.clock import Clock
from runner.system.garbage_collection import objects_frozen

FEW, MANY = 16, 1000
"""How many requests are due first, and how many at a time after them."""


class Incumbents(Mapping[str, str]):
    """Maps each request to its file, without a copy of the requests."""

    def __init__(self, requests: Mapping[str, ProcessRequest]) -> None:
        self.requests = requests

    def __getitem__(self, name: str) -> str:
        return outlines_of(self.requests)[name].file

    def __iter__(self) -> Iterator[str]:
        return iter(self.requests)

    def __len__(self) -> int:
        return len(self.requests)


class Registry:
    """What is in force: `requests` by name, and the `rejections` beside them.

    `states` also has the requests that were removed. `emptiness` says why no file of the jobs
    folder counts, so all requests stay ("is empty"); None if its files count.
    """

    def __init__(self, clock: Clock) -> None:
        from runner.schedule_loop import FireScheduler

        self.requests: Mapping[str, ProcessRequest] = {}
        self.states: dict[str, RequestState] = {}
        self.rejections: tuple[Rejection, ...] = ()
        self.pauses = NO_PAUSES
        self.backfilling: set[str] = set()
        """The requests with a backfill."""
        self._pause_end: datetime | None = None
        self._clock = clock
        self.emptiness: str | None = None
        self._due: list[str] = []
        # Names whose next fire is not computed yet. A request may change several times in
        # one turn; it is planned once, before the next look.
        self._unplanned: set[str] = set()
        self._scheduler = FireScheduler(lambda: clock.now().timestamp())

    def load(
        self,
        rows: Iterable[RequestRow],
        *,
        zone: str,
        meta: Mapping[str, str] | None = None,
        accepted: Container[str] = frozenset(),
    ) -> None:
        """Take over what a former runner left in the store.

        `meta` has the pauses. Definitions whose digests are `accepted` are not validated again.
        """
        with objects_frozen():
            self.requests, self.states = remembered(rows, zone=zone, accepted=accepted)
        self.accept_pauses(pauses_in(meta or {}))
        self._note_backfills(self.states)

    def incumbents(self) -> Incumbents:
        """Return the file that supplies each request now."""
        return Incumbents(self.requests)

    def take_due(self, *, has_claims_ahead: bool) -> list[str]:
        """Return the names of requests with a fire to claim, in order of time.

        Of the requests that are due together, the first call returns only a few, so that
        their processes start while the rest is decided. The rest comes once all of those
        executions have started, because deciding about it takes time: it returns nothing
        while the first ones still wait for their time (`has_claims_ahead`). The caller
        plans each request again, by `accept` or `plan_when_due`.
        """
        at_most = MANY
        if self._due and has_claims_ahead:
            return []
        if not self._due:
            at_most = FEW
            self._plan_noted()
            self._scheduler.run_pending()
        taken, self._due = self._due[:at_most], self._due[at_most:]
        return taken

    @property
    def has_due(self) -> bool:
        """Whether `take_due` still has to return some that are due together."""
        return bool(self._due)

    def idle_s(self) -> float | None:
        """Return the seconds until the next claim of a fire, or the next end of a pause.

        None if there is neither.
        """
        self._plan_noted()
        idle_s = self._scheduler.idle_seconds
        if self._pause_end is None:
            return idle_s
        left_s = max((self._pause_end - self._clock.now()).total_seconds(), 0.0)
        return left_s if idle_s is None else min(idle_s, left_s)

    @property
    def is_kept_whole(self) -> bool:
        """Whether all requests stay because no file of the jobs folder counts."""
        return self.emptiness is not None

    @property
    def is_pause_over(self) -> bool:
        """Whether the time of a pause is over, which is to be recorded."""
        return self._pause_end is not None and self._pause_end <= self._clock.now()

    def plan_when_due(self, name: str) -> None:
        """Plan a request whose fire could not be claimed ahead of its time, or not at all."""
        self._plan_now(name, due_at)

    def plan_all(self) -> None:
        """Plan every request: at a start, and after a step of the clock."""
        self._unplanned.update(self.requests)

    def accept(self, states: Mapping[str, RequestState]) -> None:
        """Put committed states in force."""
        self.states.update(states)
        self._unplanned.update(states)
        self._note_backfills(states)

    def accept_pauses(self, pauses: Pauses) -> None:
        """Put committed pauses in force, and plan the requests whose pauses changed."""
        changed = {*pauses.active} ^ {*self.pauses.active}
        self.pauses, self._pause_end = pauses, pauses.next_end
        self._unplanned.update(
            name
            for name, request in self.requests.items()
            if any(each.is_of(request) for each in changed)
        )

    def _note_backfills(self, states: Mapping[str, RequestState]) -> None:
        for name, state in states.items():
            if state.backfill is not None:
                self.backfilling.add(name)
            else:
                self.backfilling.discard(name)

    def forget(self, names: Iterable[str]) -> None:
        """Remove the states of pruned requests, after the commit."""
        for name in names:
            del self.states[name]
            self.backfilling.discard(name)
            self._unplanned.discard(name)

    def accept_catalog(self, in_force: InForce, catalog: Catalog) -> None:
        """Put a committed catalog in force; `accept` takes the changed states."""
        self.emptiness = in_force.emptiness
        self.requests, self.rejections = in_force.requests, catalog.rejections

    def accept_requests(self, requests: Mapping[str, ProcessRequest]) -> None:
        """Put requests in force that are partly new; `accept` takes the changed states."""
        self.requests = requests

    def accept_rebuilt(self, requests: Mapping[str, ProcessRequest]) -> None:
        """Put the same requests in force with new zone data; `accept` takes the changed states."""
        self.requests = requests
        self.plan_all()

    def _plan_noted(self) -> None:
        """Plan each noted request once, however often it was noted."""
        while self._unplanned:
            self._plan_now(self._unplanned.pop(), claimable_at)

    def _plan_now(
        self, name: str, at: Callable[[ProcessRequest, RequestState, Held], datetime | None]
    ) -> None:
        request, state = self.requests.get(name), self.states.get(name)
        planned = at(request, state, self.pauses.held(request)) if request and state else None
        if planned is None:
            self._scheduler.forget(name)
        else:
            self._scheduler.plan(name, planned.timestamp(), self._note_due)

    def _note_due(self, name: str) -> None:
        self._due.append(name)


def remembered(
    rows: Iterable[RequestRow], *, zone: str, accepted: Container[str] = frozenset()
) -> tuple[dict[str, ProcessRequest], dict[str, RequestState]]:
    """Return the last good requests and the states in a store's rows.

    `accepted` is as for `request_from_definition`. A definition that this version cannot
    read is left out: its file, if it still exists, is read again.
    """
    requests, states = {}, {}
    for row in rows:
        if row.fired_through is not None:
            states[row.name] = state_from(
                row.state, generation=row.generation, fired_through=row.fired_through
            )
        if row.definition is not None:
            with suppress(RunnerError):
                requests[row.name] = request_from_definition(
                    row.definition, default_zone=zone, accepted=accepted
                )
    return requests, states


def request_row(name: str, request: ProcessRequest | None, state: RequestState) -> RequestRow:
    """Return the row of a request and its state; without `request`, of the state alone."""
    return RequestRow(
        name=name,
        file=request.source.file if request else None,
        definition=definition_text(request) if request else None,
        generation=state.generation,
        fired_through=watermark(state),
        state=state_text(state, coming=_coming(request, state) if request else None),
    )


def _coming(request: ProcessRequest, state: RequestState) -> tuple[datetime, datetime] | None:
    due = due_at(request, state)
    return None if due is None else (due - delay_of(request), due)
