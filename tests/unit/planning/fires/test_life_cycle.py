"""Laws over the whole life of a request: any actions in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice, takewhile
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.planning_world import NOON, request_of, seen
from support.timed_requests import (
    AT_ONCE,
    COMPLETE,
    DAY,
    DEFINITION,
    EVERY_HOUR,
    HOUR,
    MINUTE,
    SCHEDULED,
    SYSTEM_RESTART,
    TICK,
    UNSCHEDULED,
    later,
    restarted,
    schedule_of,
)

from runner.errors import RefusedError
from runner.lifecycle import Misfire
from runner.planning.fires.abandoned_fires import abandoned
from runner.planning.fires.firing import (
    Miss,
    Settlement,
    delay_of,
    due_at,
    pending_fire,
    settle,
)
from runner.planning.fires.planned_status import Registration, cut_off
from runner.planning.states.state import RequestState, rule_of
from runner.planning.transitions.presses import reschedule, schedule, unschedule
from runner.planning.transitions.registration import register, remove
from runner.requests.model import (
    ProcessRequest,
    Program,
    RunImmediately,
    Schedule,
    Source,
    Timing,
)
from runner.timing.calendars import Dates
from runner.timing.parsing import parse_rule
from runner.timing.rules import Rule
from runner.timing.upcoming import fires, next_fire

TIMINGS: list[Timing | None] = [
    None,
    RunImmediately(),
    later(NOON - HOUR),
    later(NOON + HOUR),
    later(NOON + DAY, Misfire.SKIP),
    schedule_of(frequency="hourly"),
    schedule_of(frequency="hourly", finish="2026-03-01 15:00"),
    schedule_of(frequency="hourly", finish="2026-03-02 15:00"),
    schedule_of(Misfire.FIRE_ALL, frequency="minutely", interval=25),
    schedule_of(Misfire.FIRE_ONCE, frequency="hourly", start="2026-03-01 10:00", repetitions=6),
    schedule_of(frequency="daily", at=["12:00", "02:30"], timezone="Europe/Madrid"),
    schedule_of(Misfire.FIRE_ONCE, frequency="cron", expression="*/30 * * * *"),
    schedule_of(frequency="weekly", days=["sunday", "tuesday"], interval=2, at=["13:00", "23:30"]),
    Schedule(rule=replace(EVERY_HOUR.rule, excepted=Dates(days=frozenset({NOON.date() + DAY})))),
]
TOKENS = [None, "1", "2", "3"]


@dataclass
class Life:
    """A request, its states, and a simple list of the guarantees so far."""

    request: ProcessRequest = AT_ONCE
    now: datetime = NOON
    state: RequestState | None = None
    is_there: bool = False
    tokens: set[str] = field(default_factory=set)
    drift: bool | None = None
    floor: datetime = NOON
    looked: datetime = NOON
    counted_from: datetime | None = None
    presses: int = 0
    runs_at_once: int = 0
    claims: set[tuple[int, datetime]] = field(default_factory=set)
    scheduled_for: set[datetime] = field(default_factory=set)
    last_claim: int = 0
    due_before: list[datetime] = field(default_factory=list)

    @property
    def is_wanted(self) -> bool:
        word = self.request.scheduled if self.drift is None else self.drift
        return self.is_there and word and self.request.timing is not None

    def save(self, request: ProcessRequest) -> None:
        """Write the file: the runner sees it."""
        was_wanted, former, is_new = self.is_wanted, self.request, self.state is None
        self.due_before = self.due_fires()
        self.request, self.is_there = request, True
        token = request.reschedule
        is_press = token is not None and token not in self.tokens
        self.tokens |= {token} if token is not None else set()
        if is_press or former.scheduled != request.scheduled:
            self.drift = None
        if is_new or rule_of(former) != rule_of(request):
            self.counted_from = None
        is_press = is_press and not is_new
        if is_press:
            self.presses, self.counted_from = self.presses + 1, self.now
        registration = register(request, self.state, self.now)
        is_revived = self.state is not None and self.state.status is COMPLETE
        if (
            is_new
            or is_press
            or is_revived
            or not was_wanted
            or rule_of(former) != rule_of(request)
        ):
            self.floor = self.now
        self.change(former, registration.state)

    def delete(self) -> None:
        if self.is_there and self.state is not None:
            self.due_before, self.is_there = self.due_fires(), False
            self.change(self.request, remove(self.state, NOON).state)

    def press(self, button: Callable[..., Registration]) -> None:
        if not self.is_there or self.state is None:
            return
        was_wanted = self.is_wanted
        self.due_before = self.due_fires()
        arguments = (self.state,) if button is unschedule else (self.request, self.state)
        try:
            registration = button(*arguments, self.now, by="ann")
        except RefusedError:
            assert self.state.status in {DEFINITION, COMPLETE, SYSTEM_RESTART}
            return
        wanted = button is not unschedule
        self.drift = None if wanted == self.request.scheduled else wanted
        if button is reschedule:
            self.presses, self.counted_from = self.presses + 1, self.now
        if button is reschedule or (wanted and not was_wanted):
            self.floor = self.now
        self.change(self.request, registration.state)

    def restart(self, *, is_cut_off: bool) -> None:
        if self.state is None:
            return
        state = restarted(self.state)
        if is_cut_off and self.is_there:
            state = cut_off(self.request, state, self.last_claim)
        self.state = state
        if self.is_there:
            registration = register(self.request, state, self.now)
            assert registration == Registration(state=state)

    def look(self) -> None:
        """Settle the due fires, as the loop does."""
        if self.state is None:
            return
        settlement = (
            settle(self.request, self.state, self.now)
            if self.is_there
            else Settlement(state=self.state)
        )
        self.check_claims(settlement)
        self.check_coverage(settlement)
        self.looked = self.now
        self.accept(settlement.state)

    def check_claims(self, settlement: Settlement) -> None:
        assert self.state is not None
        assert self.is_wanted or not (settlement.claims or settlement.miss)
        is_schedule = isinstance(self.request.timing, Schedule)
        for claim in settlement.claims:
            assert (
                self.floor < claim <= self.now if is_schedule else self.floor <= claim <= self.now
            )
            assert (self.state.generation, claim) not in self.claims
            assert not is_schedule or claim not in self.scheduled_for
            self.claims.add((self.state.generation, claim))
            self.scheduled_for |= {claim} if is_schedule else set()
            self.last_claim = self.state.generation
        if isinstance(self.request.timing, RunImmediately):
            self.runs_at_once += len(settlement.claims)
            assert self.runs_at_once <= 1 + self.presses

    def check_coverage(self, settlement: Settlement) -> None:
        miss, expected = settlement.miss, self.due_fires()
        if not isinstance(self.request.timing, Schedule):
            return
        apart = [
            claim for claim in settlement.claims if not (miss and miss.first <= claim <= miss.last)
        ]
        assert len(apart) + (miss.count if miss else 0) == len(expected)
        assert not miss or (miss.first == expected[0] and miss.last in expected)

    def due_fires(self) -> list[datetime]:
        """Enumerate the unsettled fires of a schedule."""
        timing = self.request.timing
        if not isinstance(timing, Schedule) or not self.is_wanted:
            return []
        coming = fires(timing.rule, max(self.floor, self.looked), counted_from=self.counted_from)
        return list(takewhile(lambda fire: fire <= self.now, coming))

    def change(self, former: ProcessRequest, changed: RequestState) -> None:
        """Put a changed state in force, and record the abandoned fires as missed."""
        before, state = self.state, changed
        if before is not None:
            miss = abandoned(former, before, changed, self.now)
            is_dropped = changed.status is not SCHEDULED or changed.generation != before.generation
            if isinstance(former.timing, Schedule):
                reported = self.due_before if is_dropped else []
                assert miss == (
                    Miss(count=len(reported), first=reported[0], last=reported[-1])
                    if reported
                    else None
                )
            if miss is not None and changed.generation == before.generation:
                state = replace(changed, fired_through=max(changed.fired_through, miss.last))
        self.accept(state)

    def accept(self, state: RequestState) -> None:
        assert restarted(state) == state
        self.state = state
        if not self.is_there:
            assert (state.status, state.removed) == (UNSCHEDULED, True)
            return
        assert not state.removed
        assert register(self.request, state, self.now + 2 * DAY) == Registration(state=state)
        assert state.override == self.drift
        if self.request.timing is None:
            assert state.status is DEFINITION
        else:
            assert (state.status is UNSCHEDULED) is not self.is_wanted
        assert (state.status is SCHEDULED) <= (pending_fire(self.request, state) is not None)


Deed = Callable[[Life], None]


def edit(**changes: Any) -> Deed:
    return lambda life: life.save(replace(life.request, **changes))


def wait(duration: timedelta) -> Deed:
    def deed(life: Life) -> None:
        life.now += duration

    return deed


waits = st.sampled_from([timedelta(), TICK, MINUTE, 30 * MINUTE, HOUR, 7 * HOUR, DAY]).map(wait)
deeds: st.SearchStrategy[Deed] = st.one_of(
    waits,
    waits,
    st.sampled_from(TIMINGS).map(lambda timing: edit(timing=timing)),
    st.booleans().map(lambda word: edit(scheduled=word)),
    st.sampled_from(TOKENS).map(lambda token: edit(reschedule=token)),
    st.just(edit(description="edited")),
    st.just(Life.look),
    st.just(Life.look),
    st.just(Life.delete),
    st.sampled_from([schedule, unschedule, reschedule]).map(
        lambda button: lambda life: life.press(button)
    ),
    st.booleans().map(lambda is_cut_off: lambda life: life.restart(is_cut_off=is_cut_off)),
)


def live(life: Life, steps: list[Deed]) -> None:
    """Let some actions happen before the loop has settled the fires of the previous one."""
    for step in steps:
        step(life)
    life.look()


@settings(max_examples=200)
@given(st.lists(deeds, max_size=40))
def test_a_requests_guarantees_hold_after_any_actions(steps: list[Deed]) -> None:
    live(Life(), steps)


@pytest.mark.campaign
@settings(max_examples=3_000)
@given(st.lists(deeds, max_size=60))
def test_a_requests_guarantees_hold_after_any_actions_at_length(steps: list[Deed]) -> None:
    live(Life(), steps)


# --- fire times across restarts and edits
# ---------------------------------------------------------------

LASTING: list[dict[str, Any]] = [
    {
        "frequency": "weekly",
        "days": ["monday", "thursday"],
        "interval": 2,
        "at": "02:30",
        "timezone": "Europe/Madrid",
    },
    {
        "frequency": "weekly",
        "days": ["sunday"],
        "interval": 3,
        "at": ["02:15", "23:45"],
        "start": "2026-03-01 10:00",
    },
    {"frequency": "monthly", "day": 31, "interval": 2, "at": "09:00", "timezone": "Africa/Cairo"},
    {
        "frequency": "monthly",
        "day": "last friday",
        "interval": 3,
        "at": "00:00",
        "start": "2026-02-10",
    },
    {
        "frequency": "daily",
        "interval": 4,
        "start": "2026-02-27 02:30",
        "timezone": "Australia/Lord_Howe",
    },
    {"frequency": "minutely", "interval": 25, "start": "2026-03-01 10:10"},
    {
        "frequency": "cron",
        "expression": "*/30 1-3 * * *",
        "start": "2026-03-02",
        "timezone": "Europe/Madrid",
    },
]
LOOKED_AT = 10  # fires of each rule


@st.composite
def lasting(draw: st.DrawFn) -> Schedule:
    """Generate a schedule that excepts some of its dates, perhaps with repetitions."""
    data = draw(st.sampled_from(LASTING))
    plain = parse_rule(data, default_zone="UTC")
    dates = [fire.date() for fire in islice(fires(plain, NOON), LOOKED_AT)]
    excepted = draw(st.sampled_from([frozenset(), frozenset(dates[1::3]), frozenset(dates[:2])]))
    repetitions = draw(st.sampled_from([None, 6, 9])) if "start" in data else None
    rule = replace(plain, excepted=Dates(days=excepted), repetitions=repetitions)
    between = (fires_of(rule)[-1] - NOON) / LOOKED_AT
    spread = draw(st.sampled_from([timedelta(), between / 2, 3 * between]))
    return Schedule(rule=rule, spread=spread, misfire=Misfire.FIRE_ALL)


def fires_of(rule: Rule) -> list[datetime]:
    return list(islice(fires(rule, NOON), LOOKED_AT))


@dataclass
class Watch:
    """A request that is settled whenever it is due. Each look and each edit restarts the
    program.
    """

    request: ProcessRequest
    now: datetime = NOON
    claims: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = seen(self.request)

    def edit(self, edited: ProcessRequest) -> Registration:
        self.request, registration = edited, register(edited, restarted(self.state), self.now)
        self.state = registration.state
        return registration

    def look_until(self, until: datetime) -> None:
        while (due := due_at(self.request, self.state)) is not None and due <= until:
            self.now = max(self.now, due)
            settlement = settle(self.request, restarted(self.state), self.now)
            assert settlement.miss is None
            self.claims += settlement.claims
            self.state = settlement.state
        self.now = max(self.now, until)


# Edits that do not change the fire times.
EDITS: list[Callable[[ProcessRequest, Schedule], ProcessRequest]] = [
    lambda request, timing: request,
    lambda request, timing: replace(request, description=f"{request.description} edited"),
    lambda request, timing: replace(
        request, process=replace(request.process, action=Program(arguments=("false",)))
    ),
    lambda request, timing: replace(
        request, timing=replace(timing, spread=MINUTE + 2 * timing.spread)
    ),
    lambda request, timing: replace(request, timing=replace(timing, spread=timing.spread / 3)),
    lambda request, timing: replace(
        request, timing=replace(timing, misfire_grace=timing.misfire_grace + DAY)
    ),
    lambda request, timing: replace(
        request, source=Source(file="moved/p.yaml", line=7, sha256="other")
    ),
]
moments = st.floats(0, 1.2)


@given(timing=lasting(), edits=st.lists(st.tuples(moments, st.sampled_from(EDITS)), max_size=6))
@settings(max_examples=60)
def test_neither_a_restart_nor_an_edit_of_anything_else_moves_a_fire(
    timing: Schedule,
    edits: list[tuple[float, Callable[[ProcessRequest, Schedule], ProcessRequest]]],
) -> None:
    watch, expected = Watch(request_of(timing)), fires_of(timing.rule)
    length = expected[-1] - NOON
    for moment, edited in sorted(edits, key=itemgetter(0)):
        watch.look_until(NOON + length * moment)
        present = watch.request.timing
        assert isinstance(present, Schedule)
        assert watch.edit(edited(watch.request, present)).change is None
    watch.look_until(expected[-1] + delay_of(watch.request))
    assert watch.state.generation == 1
    assert watch.claims[: len(expected)] == expected
    assert (watch.state.status is COMPLETE) is (next_fire(timing.rule, watch.claims[-1]) is None)


@given(
    timing=lasting(),
    edits=st.lists(st.tuples(moments, st.none() | moments), min_size=1, max_size=5),
)
@settings(max_examples=60)
def test_each_fire_obeys_the_finish_in_force_at_its_time(
    timing: Schedule, edits: list[tuple[float, float | None]]
) -> None:
    """A later finish revives a complete request with its former repetitions and interval."""
    timing = replace(timing, spread=timedelta())
    watch, expected = Watch(request_of(timing)), fires_of(timing.rule)
    length = expected[-1] - NOON
    finishes: list[tuple[datetime, datetime | None]] = []
    for moment, part in sorted(edits, key=itemgetter(0)):
        finish = None if part is None else NOON + length * part
        watch.look_until(NOON + length * moment)
        finishes.append((watch.now, finish))
        watch.edit(request_of(replace(timing, rule=replace(timing.rule, finish=finish))))
        assert (watch.state.status is SCHEDULED) is (
            next_fire(watch_rule(watch), watch.now) is not None
        )
    watch.look_until(expected[-1])
    assert watch.state.generation == 1
    found = [fire for fire in watch.claims if fire <= expected[-1]]
    assert found == [fire for fire in expected if is_before_finish(fire, finishes)]


def watch_rule(watch: Watch) -> Rule:
    assert isinstance(watch.request.timing, Schedule)
    return watch.request.timing.rule


def is_before_finish(fire: datetime, finishes: list[tuple[datetime, datetime | None]]) -> bool:
    in_force = [finish for since, finish in finishes if since < fire]
    return not in_force or in_force[-1] is None or fire <= in_force[-1]
