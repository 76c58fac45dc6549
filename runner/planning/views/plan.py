"""Show what a catalog would change if it came into force now. Pure.

It uses the functions that the runner uses, so the runner does what `plan` shows.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from runner.lifecycle import RequestStatus
from runner.planning.changeover import Served, changeover
from runner.planning.coming_fires import first_fires
from runner.planning.difference import changed_fields
from runner.planning.fires.firing import Miss, Settlement, delay_of, settle
from runner.planning.fires.planned_status import Registration, RequestChange
from runner.planning.forecast.collisions import Crowding, crowding
from runner.planning.likely_renames import likely_renames
from runner.planning.moved_fires import moved_words
from runner.planning.retention import Deleted
from runner.planning.states.state import RequestState
from runner.planning.transitions.registration import register
from runner.planning.views.alterations import Alteration, alterations
from runner.planning.views.cautions import Caution
from runner.planning.views.chains import NO_CHAINS, Chains, Touched
from runner.planning.views.request_cautions import request_cautions
from runner.requests.catalog.catalog import Catalog, Rejection
from runner.requests.model import ProcessRequest

SHOWN_FIRES = 3


class StepKind(StrEnum):
    """How a request differs."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    CHANGED = "changed"
    UNTOUCHED = "untouched"
    """Its definition is the same, and only the passing of time changes something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextFires:
    """The status and the next few fires of a request, after its due fires are settled."""

    status: RequestStatus
    fires: tuple[datetime, ...]
    moved: tuple[str | None, ...]
    """Where the calendar moved each of these fires from, in words; None for one that stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStep:
    """The effect of the catalog on one request."""

    name: str
    kind: StepKind
    request: ProcessRequest
    renamed_from: str | None = None
    looks_like: str | None = None
    """For an added request, a removed one with the same definition: probably its former name."""
    alterations: tuple[Alteration, ...] = ()
    before: NextFires | None = None
    """None for a new request."""
    after: NextFires | None = None
    """None for a removed request."""
    state: RequestState
    events: tuple[RequestChange, ...] = ()
    """The events that the monitor log will have."""
    runs: tuple[datetime, ...] = ()
    """The fire times that run at once."""
    due_anyway: frozenset[datetime] = frozenset()
    """Those of `runs` that would also run without the change."""
    chains: Touched = NO_CHAINS
    """The chains of requests that the change touches."""
    cautions: tuple[Caution, ...] = ()
    """Surprises of the new definition."""
    missed: tuple[Miss, ...] = ()
    """The spans that will be recorded as misfired."""
    held: tuple[Miss, ...] = ()
    """The spans of fires that a pause held, and that will be recorded as skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All changes, by name.

    `rejections` are the documents that cannot come into force. `kept` names the requests
    whose last good version stays active; `emptiness` says why no file was found, so that all
    do. `requests` are those in force afterwards.
    """

    steps: tuple[PlanStep, ...]
    rejections: tuple[Rejection, ...]
    kept: Mapping[str, Rejection]
    emptiness: str | None
    requests: Mapping[str, ProcessRequest]
    crowding: Crowding
    deleted: Mapping[str, Deleted] = field(default_factory=dict)
    """The outputs that a changed retention of requests, or of the settings, deletes."""

    @property
    def is_kept_whole(self) -> bool:
        """Whether every request stays active, because no file was found."""
        return self.emptiness is not None

    @property
    def differs(self) -> bool:
        """Whether any definition differs, or the settings delete outputs."""
        is_changed = any(step.kind is not StepKind.UNTOUCHED for step in self.steps)
        return is_changed or bool(self.deleted)

    def among(self, names: Container[str]) -> Plan:
        """Return the part of the plan that concerns these requests.

        A rejected document stays in it if it keeps one of them, or supplies none: its
        labels are unknown. The busiest minutes stay those of all requests.
        """
        kept = {name: by for name, by in self.kept.items() if name in names}
        others = [by for name, by in self.kept.items() if name not in names]
        shown = [by for by in self.rejections if by in kept.values() or by not in others]
        collisions = [each for each in self.crowding.collisions if each.request in names]
        return replace(
            self,
            steps=tuple(step for step in self.steps if step.name in names),
            rejections=tuple(shown),
            kept=kept,
            requests={name: each for name, each in self.requests.items() if name in names},
            crowding=replace(self.crowding, collisions=tuple(collisions)),
            deleted={name: each for name, each in self.deleted.items() if name in names},
        )


def plan(old: Served, catalog: Catalog, now: datetime, durations: Mapping[str, timedelta]) -> Plan:
    """Return the changes if a catalog replaced `old` now.

    `durations` says how long the executions of each request take.
    """
    change = changeover(old, catalog)
    new = change.in_force.requests
    registrations = dict(change.registrations(old, [*new, *change.difference.removed], now))
    likely = likely_renames(change, old.requests)
    steps = tuple(
        replace(step, looks_like=likely.get(step.name))
        for step in _steps(old, new, registrations, now)
    )
    states = {**old.states, **{step.name: step.state for step in steps}}
    shown = [step for step in steps if _is_shown(step)]
    return Plan(
        steps=tuple(_with_chains(shown, old.requests, new)),
        rejections=catalog.rejections,
        kept=change.in_force.kept,
        emptiness=change.in_force.emptiness,
        requests=new,
        crowding=crowding(old, Served(requests=new, states=states), change.renamed, durations, now),
    )


def _with_chains(
    steps: list[PlanStep], old: Mapping[str, ProcessRequest], new: Mapping[str, ProcessRequest]
) -> Iterator[PlanStep]:
    """Add the chains that each change touches; those of a removed request are the old ones."""
    if all(step.kind is StepKind.UNTOUCHED for step in steps):
        yield from steps
        return
    before, after = Chains(old), Chains(new)
    for step in steps:
        chains = before if step.kind is StepKind.REMOVED else after
        is_touched = step.kind is not StepKind.UNTOUCHED
        yield replace(step, chains=chains.through(step.name)) if is_touched else step


def newly_served(requests: Mapping[str, ProcessRequest], now: datetime) -> Served:
    """Return requests and states as if a runner had just started to serve them.

    Requests that run at once have already run.
    """
    registered = {name: register(request, None, now).state for name, request in requests.items()}
    states = {name: settle(requests[name], state, now).state for name, state in registered.items()}
    return Served(requests=requests, states=states)


def _steps(
    old: Served,
    new: Mapping[str, ProcessRequest],
    registrations: Mapping[str, Registration],
    now: datetime,
) -> Iterator[PlanStep]:
    removed = (name for name in old.requests if name not in new and name in registrations)
    for name in sorted({*new, *removed}):
        yield _Passage(name, old, new.get(name), registrations.get(name), now).step()


class _Passage:
    """One request, before and after the change."""

    def __init__(
        self,
        name: str,
        old: Served,
        new: ProcessRequest | None,
        registration: Registration | None,
        now: datetime,
    ) -> None:
        self._name, self._new, self._registration, self._now = name, new, registration, now
        self._former = (registration and registration.renamed_from) or name
        self._pauses = old.pauses
        self._old = old.requests.get(self._former)
        self._before = old.states.get(self._former)

    def step(self) -> PlanStep:
        """Return what the change does to the request."""
        request = self._new or self._old
        assert request is not None, "it is in one of both"
        state, missed, held = self._registered()
        settlement = self._settled(self._new, state)
        anyway = self._anyway()
        step = PlanStep(
            name=self._name,
            kind=self._kind(),
            request=request,
            renamed_from=self._former if self._former != self._name else None,
            state=settlement.state,
            events=self._events(state, settlement.state),
            runs=settlement.claims,
            due_anyway=frozenset(anyway.claims if anyway else ()) & frozenset(settlement.claims),
            missed=(*missed, *(each for each in settlement.misses if not each.is_paused)),
            held=(*held, *(each for each in settlement.misses if each.is_paused)),
        )
        return self._detailed(step, anyway) if _is_shown(step) else step

    def _detailed(self, step: PlanStep, anyway: Settlement | None) -> PlanStep:
        """Add the slow details. Only a request that `plan` shows needs them."""
        return replace(
            step,
            cautions=tuple(request_cautions(self._new, self._now)) if self._new else (),
            alterations=alterations(self._old, self._new) if self._old and self._new else (),
            before=self._next_fires(self._old, anyway.state) if anyway else None,
            after=self._next_fires(self._new, step.state),
        )

    def _registered(self) -> tuple[RequestState, list[Miss], list[Miss]]:
        """Return the state of a request by its new file, and the fires that lose their verdict
        by that: missed fires, and fires that a pause held.
        """
        if self._registration is None:
            assert self._before is not None, "a request without a state has a registration"
            return self._before, [], []
        late, left = self._registration.miss, self._registration.abandoned
        missed, held = ([late] if late else []), list[Miss]()
        if left and self._old:
            due = left.last + delay_of(self._old)
            (held if self._pauses.holding(self._old, due) else missed).insert(0, left)
        return self._registration.state, missed, held

    def _anyway(self) -> Settlement | None:
        """Return the settlement of a request without any change; None if it is not in force."""
        return self._settled(self._old, self._before) if self._old and self._before else None

    def _settled(self, request: ProcessRequest | None, state: RequestState) -> Settlement:
        if request is None:
            return Settlement(state=state)
        return settle(request, state, self._now, held=self._pauses.held(request))

    def _kind(self) -> StepKind:
        if self._new is None:
            return StepKind.REMOVED
        if self._former != self._name:
            return StepKind.RENAMED
        if self._old is None:
            return StepKind.ADDED
        return StepKind.CHANGED if changed_fields(self._old, self._new) else StepKind.UNTOUCHED

    def _events(self, registered: RequestState, settled: RequestState) -> tuple[RequestChange, ...]:
        change = self._registration and self._registration.change
        events = [change] if change else []
        return tuple(events + [RequestChange.COMPLETED] * (settled.status is not registered.status))

    def _next_fires(self, request: ProcessRequest | None, state: RequestState) -> NextFires | None:
        if request is None:
            return None
        held = self._pauses.held(request)
        fires = first_fires(request, state, self._now, SHOWN_FIRES, held)
        moved = tuple(moved_words(request, fire) for fire in fires)
        return NextFires(status=state.status, fires=tuple(fires), moved=moved)


def _is_shown(step: PlanStep) -> bool:
    return step.kind is not StepKind.UNTOUCHED or bool(
        step.events or step.runs or step.missed or step.held
    )
