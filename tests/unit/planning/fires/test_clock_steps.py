"""After the clock went back: which fires run again, and which are recorded only once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.planning_world import NOON, request_of, seen

from runner.lifecycle import Misfire, RequestStatus
from runner.planning.coming_fires import coming_fires, planned_fires
from runner.planning.fires.clock_steps import (
    STEP_BACK,
    stepped_back,
    went_back,
    without_verdicts_ahead,
)
from runner.planning.fires.firing import Miss, Settlement, delay_of, due_at, pending_fire, settle
from runner.planning.forecast.fire_sequences import Timetable
from runner.planning.states.state import RequestState
from runner.planning.transitions.presses import reschedule, schedule, unschedule
from runner.planning.transitions.registration import register, remove
from runner.requests.model import ProcessRequest, RunImmediately, RunLater, Schedule
from runner.timing.parsing import parse_rule
from runner.timing.passing_time import measures_passing_time
from runner.timing.upcoming import fires
from runner.values import to_microseconds

TICK = timedelta(microseconds=1)
SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)
COMPLETE, SCHEDULED = RequestStatus.COMPLETE, RequestStatus.SCHEDULED


def schedule_of(
    misfire: Misfire = Misfire.SKIP, spread: timedelta = timedelta(), **data: Any
) -> Schedule:
    return Schedule(rule=parse_rule(data, default_zone="UTC"), misfire=misfire, spread=spread)


def later(start: datetime, misfire: Misfire = Misfire.FIRE_ONCE) -> ProcessRequest:
    return request_of(RunLater(start=start, zone="UTC", misfire=misfire))


HOURLY = request_of(schedule_of(frequency="hourly"))
AT_TWO = request_of(schedule_of(frequency="daily", at="14:00"))
AT_ONCE = request_of(RunImmediately())


def ran_on_time(request: ProcessRequest, state: RequestState, *, until: datetime) -> RequestState:
    """Return the state after a runner settled each fire on time."""
    while (due := due_at(request, state)) is not None and due <= until:
        state = settle(request, state, due).state
    return state


# --- the definition of a step back
# --------------------------------------------------------------------------------------


def test_a_reading_more_than_a_minute_before_the_latest_one_is_a_step_back() -> None:
    assert STEP_BACK == MINUTE
    assert not went_back(NOON, NOON - MINUTE)
    assert went_back(NOON, NOON - MINUTE - TICK)


# --- rules that name times of day
# --------------------------------------------------------------------------------------


def test_a_calendar_fire_that_ran_does_not_run_again_and_one_that_was_missed_does() -> None:
    ran = ran_on_time(AT_TWO, seen(AT_TWO), until=NOON + 3 * HOUR)
    missed = settle(AT_TWO, seen(AT_TWO), NOON + 5 * HOUR)
    assert missed.miss == Miss(count=1, first=NOON + 2 * HOUR, last=NOON + 2 * HOUR)
    assert pending_fire(AT_TWO, stepped_back(AT_TWO, ran, NOON)) == NOON + 26 * HOUR
    moved = stepped_back(AT_TWO, missed.state, NOON)
    assert pending_fire(AT_TWO, moved) == NOON + 2 * HOUR
    assert moved.generation == 1
    again = settle(AT_TWO, moved, NOON + 2 * HOUR)
    assert (again.claims, again.miss) == ((NOON + 2 * HOUR,), None)


def test_a_fire_that_had_its_verdict_is_neither_caught_up_nor_recorded_again() -> None:
    for misfire in Misfire:
        request = request_of(
            schedule_of(misfire, frequency="daily", at=["13:00", "14:00", "15:00"])
        )
        state = settle(request, seen(request), NOON + 2 * HOUR + 5 * MINUTE).state
        moved = stepped_back(request, state, NOON)
        late = settle(request, moved, NOON + 3 * HOUR + 5 * MINUTE)
        had = [NOON + HOUR, NOON + 2 * HOUR]
        assert set(late.claims).isdisjoint(had)
        three = NOON + 3 * HOUR
        assert late.claims == (() if misfire is Misfire.SKIP else (three,))
        assert late.miss == (
            None if misfire is Misfire.FIRE_ALL else Miss(count=1, first=three, last=three)
        )


def test_after_a_day_of_running_a_fire_ahead_is_handled_as_usual() -> None:
    state = settle(AT_TWO, seen(AT_TWO), NOON + 5 * DAY).state
    moved = stepped_back(AT_TWO, state, NOON)
    assert settle(AT_TWO, moved, NOON + 3 * HOUR).miss is None
    dropped = without_verdicts_ahead(moved, NOON)
    assert settle(AT_TWO, dropped, NOON + 3 * HOUR).miss == Miss(
        count=1, first=NOON + 2 * HOUR, last=NOON + 2 * HOUR
    )
    assert without_verdicts_ahead(state, NOON + 5 * DAY) is state, "it does not lie ahead"


def test_dropping_the_verdicts_keeps_the_claims() -> None:
    state = ran_on_time(AT_TWO, seen(AT_TWO), until=NOON + 3 * HOUR)
    dropped = without_verdicts_ahead(stepped_back(AT_TWO, state, NOON), NOON)
    assert settle(AT_TWO, dropped, NOON + 3 * HOUR) == Settlement(state=dropped)


# --- rules that measure passing time
# ----------------------------------------------------------------------------------

PASSING = {
    "hourly": HOURLY,
    "cron with a star": request_of(schedule_of(frequency="cron", expression="0 * * * *")),
}


@pytest.mark.parametrize("kind", PASSING)
def test_a_rule_that_measures_passing_time_continues_at_once_in_a_new_generation(kind: str) -> None:
    request = PASSING[kind]
    state = ran_on_time(request, seen(request), until=NOON + 3 * HOUR)
    moved = stepped_back(request, state, NOON + 30 * MINUTE)
    assert moved.generation == 2
    again = settle(request, moved, NOON + HOUR)
    assert again.claims == (NOON + HOUR,)
    assert again.state.claimed == state.claimed, "the instant was claimed already"


@pytest.mark.parametrize("kind", PASSING)
def test_a_claimed_instant_fires_again_only_while_the_runner_waits_for_it(kind: str) -> None:
    request = PASSING[kind]
    state = ran_on_time(request, seen(request), until=NOON + HOUR)
    moved = stepped_back(request, state, NOON)
    now = NOON + HOUR + SECOND
    assert settle(request, moved, now).claims == (NOON + HOUR,)
    assert settle(request, moved, now, awaited_from=NOON + HOUR - TICK).claims == (NOON + HOUR,)
    found = settle(request, moved, now, awaited_from=now)
    assert (found.claims, found.miss) == ((), None)
    assert pending_fire(request, found.state) == NOON + 2 * HOUR


def test_a_cron_that_names_times_of_day_opens_no_generation() -> None:
    request = request_of(schedule_of(frequency="cron", expression="0 14 * * *"))
    state = ran_on_time(request, seen(request), until=NOON + 3 * HOUR)
    moved = stepped_back(request, state, NOON)
    assert moved.generation == 1
    assert pending_fire(request, moved) == NOON + 26 * HOUR


@pytest.mark.parametrize("kind", PASSING)
def test_a_small_step_back_waits_for_the_clock(kind: str) -> None:
    """The caller applies `stepped_back` only where `went_back`; until then the watermark holds."""
    request = PASSING[kind]
    state = ran_on_time(request, seen(request), until=NOON + HOUR)
    assert settle(request, state, NOON + HOUR - 40 * SECOND) == Settlement(state=state)


def test_a_spread_moves_the_watermark_less_itself() -> None:
    request = request_of(schedule_of(frequency="hourly", spread=50 * MINUTE), name="spread-a")
    delay = delay_of(request)
    state = ran_on_time(request, seen(request), until=NOON + 5 * HOUR)
    moved = stepped_back(request, state, NOON + HOUR)
    assert moved.fired_through == NOON + HOUR - delay
    assert due_at(request, moved) == NOON + HOUR + delay


# --- requests that are complete, or run once
# --------------------------------------------------------------------------


def test_a_complete_request_with_a_fire_ahead_is_scheduled_again() -> None:
    ahead = NOON + 365 * DAY
    weekly = request_of(
        schedule_of(
            frequency="weekly", days=["sunday"], at="18:00", start="2026-03-01", repetitions=3
        )
    )
    for request in (weekly, later(NOON + HOUR), later(NOON + HOUR, Misfire.SKIP)):
        state = seen(request, ahead)
        assert state.status is COMPLETE
        moved = stepped_back(request, state, NOON)
        assert moved.status is SCHEDULED
        assert pending_fire(request, moved) == NOON + (6 * HOUR if request is weekly else HOUR)
        result = settle(request, moved, NOON + (6 * HOUR if request is weekly else HOUR))
        assert len(result.claims) == 1


def test_a_step_back_does_not_reopen_a_request_that_ran_to_its_end() -> None:
    for request in (
        request_of(schedule_of(frequency="hourly", finish="2026-03-01 14:00")),
        request_of(schedule_of(frequency="daily", at="14:00", finish="2026-03-01")),
        later(NOON + HOUR),
        AT_ONCE,
    ):
        state = ran_on_time(request, seen(request), until=NOON + 5 * HOUR)
        assert state.status is COMPLETE
        assert stepped_back(request, state, NOON) is state
        assert register(request, state, NOON).change is None


def test_a_later_finish_reopens_a_request_that_was_complete_before_the_step_back() -> None:
    over = request_of(schedule_of(frequency="hourly", finish="2026-03-01 14:00"))
    longer = request_of(schedule_of(frequency="hourly", finish="2026-03-01 20:00"))
    state = ran_on_time(over, seen(over), until=NOON + 5 * HOUR)
    state = stepped_back(over, state, NOON)
    revived = register(longer, state, NOON).state
    assert revived.status is SCHEDULED
    assert pending_fire(longer, revived) == NOON + HOUR


def test_a_one_time_fire_without_a_verdict_stays_pending() -> None:
    for request in (AT_ONCE, later(NOON + HOUR)):
        state = seen(request)
        moved = stepped_back(request, state, NOON - 2 * HOUR)
        fire = pending_fire(request, moved)
        assert fire == (NOON - 2 * HOUR if request is AT_ONCE else NOON + HOUR)
        assert fire is not None
        done = settle(request, moved, fire)
        assert done.claims == (fire,)
        assert done.state.status is COMPLETE


def test_a_pending_reschedule_runs_at_the_new_time() -> None:
    request = later(NOON - HOUR)
    pressed = reschedule(request, seen(request), NOON + 2 * HOUR, by="ann").state
    moved = stepped_back(request, pressed, NOON)
    assert pending_fire(request, moved) == NOON
    assert settle(request, moved, NOON).claims == (NOON,)


def test_a_reschedule_runs_after_the_clock_went_back() -> None:
    state = ran_on_time(later(NOON + HOUR), seen(later(NOON + HOUR)), until=NOON + 2 * HOUR)
    pressed = reschedule(later(NOON - HOUR), state, NOON, by="ann").state
    assert settle(later(NOON - HOUR), pressed, NOON).claims == (NOON,)


def test_a_run_later_that_was_recorded_as_missed_is_not_recorded_again() -> None:
    request = later(NOON + HOUR)
    moved = stepped_back(request, seen(request, NOON + 365 * DAY), NOON)
    late = settle(request, moved, NOON + 2 * HOUR)
    assert (late.claims, late.miss) == ((), None)
    assert late.state.status is COMPLETE
    off = unschedule(moved, NOON, by="ann").state
    on = schedule(request, off, NOON + 2 * HOUR, by="ann")
    assert (on.miss, on.state.status) == (None, COMPLETE)


# --- changed rules, removed and returning requests
# ---------------------------------------------------------------------


def test_a_changed_rule_and_a_reschedule_clear_the_verdicts_and_keep_the_claims() -> None:
    state = ran_on_time(AT_TWO, seen(AT_TWO), until=NOON + 3 * HOUR)
    moved = stepped_back(AT_TWO, state, NOON)
    both = request_of(schedule_of(frequency="daily", at=["13:00", "14:00"]))
    changed = register(both, moved, NOON).state
    pressed = reschedule(AT_TWO, moved, NOON, by="ann").state
    assert (changed.furthest_verdict, pressed.furthest_verdict) == (None, None)
    found = settle(both, changed, NOON + 5 * HOUR)
    assert found.miss == Miss(count=1, first=NOON + HOUR, last=NOON + HOUR), "two was claimed"
    assert pending_fire(AT_TWO, pressed) == NOON + 26 * HOUR


def test_a_request_whose_file_comes_back_does_not_wait_for_the_false_time() -> None:
    for request, expected in ((HOURLY, NOON + HOUR), (AT_TWO, NOON + 26 * HOUR)):
        gone = remove(ran_on_time(request, seen(request), until=NOON + 5 * HOUR), NOON).state
        back = register(request, gone, NOON).state
        assert pending_fire(request, back) == expected


def test_an_unscheduled_request_follows_the_clock_too() -> None:
    state = settle(AT_TWO, seen(AT_TWO), NOON + 2 * DAY).state
    off = unschedule(state, NOON + 2 * DAY, by="ann").state
    on = schedule(AT_TWO, stepped_back(AT_TWO, off, NOON), NOON, by="ann").state
    assert pending_fire(AT_TWO, on) == NOON + 2 * HOUR


def test_repetitions_that_were_counted_from_the_false_time_count_from_now() -> None:
    request = request_of(schedule_of(frequency="hourly", start="2026-03-01", repetitions=3))
    state = reschedule(request, seen(request), NOON + 5 * HOUR, by="ann").state
    moved = stepped_back(request, state, NOON)
    assert list(coming_fires(request, moved, NOON)) == [NOON + hour * HOUR for hour in (1, 2, 3, 4)]


def test_upcoming_fires_leave_out_claimed_ones() -> None:
    request = request_of(schedule_of(frequency="daily", at=["13:00", "14:00", "15:00"]))
    state = ran_on_time(request, seen(request), until=NOON + 2 * HOUR)
    moved = stepped_back(request, state, NOON)
    today = [NOON + 3 * HOUR]
    assert (
        list(takewhile(lambda fire: fire < NOON + DAY, coming_fires(request, moved, NOON))) == today
    )
    planned = planned_fires(request, moved, NOON - HOUR, NOON)
    assert list(takewhile(lambda fire: fire < NOON + DAY, planned)) == today
    found = Timetable(NOON, NOON + DAY).of(request, moved)
    assert list(found) == list(map(to_microseconds, today))


# --- laws: any history of steps
# --------------------------------------------------------------------------------------

TIMINGS: list[Schedule | RunLater] = [
    schedule_of(frequency="minutely", interval=20),
    schedule_of(Misfire.FIRE_ONCE, frequency="hourly"),
    schedule_of(Misfire.FIRE_ALL, frequency="cron", expression="*/30 * * * *"),
    schedule_of(frequency="hourly", finish="2026-03-02"),
    schedule_of(Misfire.FIRE_ALL, frequency="daily", at=["12:30", "13:00", "18:00"]),
    schedule_of(
        Misfire.FIRE_ONCE, spread=40 * MINUTE, frequency="daily", at=["12:30", "13:00", "18:00"]
    ),
    schedule_of(Misfire.SKIP, spread=3 * HOUR, frequency="hourly", interval=2),
    schedule_of(frequency="cron", expression="0,30 13,14,15 * * *"),
    schedule_of(
        Misfire.FIRE_ONCE, frequency="daily", at="13:00", start="2026-03-01", repetitions=2
    ),
    RunLater(start=NOON + 3 * HOUR, zone="UTC"),
    RunLater(start=NOON + 3 * HOUR, zone="UTC", misfire=Misfire.FIRE_ALL),
]


@dataclass
class Life:
    """A request under a runner whose clock steps at random, and a simple list of its verdicts."""

    request: ProcessRequest
    now: datetime = NOON
    latest: datetime = NOON
    awaited_from: datetime = NOON
    state: RequestState = field(init=False)
    claims: list[tuple[int, datetime]] = field(default_factory=list)
    missed: list[Miss] = field(default_factory=list)
    reached: datetime = NOON
    earliest: datetime = NOON
    was_dropped: bool = False

    def __post_init__(self) -> None:
        self.state = seen(self.request)

    @property
    def timing(self) -> Schedule | RunLater:
        assert isinstance(self.request.timing, Schedule | RunLater)
        return self.request.timing

    @property
    def is_passing(self) -> bool:
        return isinstance(self.timing, Schedule) and measures_passing_time(self.timing.rule.pattern)

    def wait(self, duration: timedelta) -> None:
        """Let time pass, with a runner that looks at each fire in time."""
        end = self.now + duration
        while (due := due_at(self.request, self.state)) is not None and due <= end:
            self.look(max(due, self.now))
        self.look(end)

    def hang(self, duration: timedelta) -> None:
        self.look(self.now + duration)

    def step(self, duration: timedelta) -> None:
        """Set the clock, or sleep, or be down."""
        if duration > timedelta():
            self.awaited_from = self.now + duration
        self.look(self.now + duration)

    def drop(self, _: timedelta) -> None:
        self.state = without_verdicts_ahead(self.state, self.now)
        self.was_dropped = True

    def look(self, now: datetime) -> None:
        self.now = now
        if went_back(self.latest, now):
            self.state = stepped_back(self.request, self.state, now)
            self.awaited_from, self.latest = min(self.awaited_from, now), now
        self.latest = max(self.latest, now)
        self.reached, self.earliest = max(self.reached, now), min(self.earliest, now)
        settled = settle(self.request, self.state, now, awaited_from=self.awaited_from)
        for claim in settled.claims:
            self.check_claim(claim)
            self.claims.append((self.state.generation, claim))
        if settled.miss is not None:
            self.missed.append(settled.miss)
        self.state = settled.state

    def check_claim(self, claim: datetime) -> None:
        assert (self.state.generation, claim) not in self.claims, "claimed twice in a generation"
        if claim not in {fire for _, fire in self.claims}:
            return
        due = claim + delay_of(self.request)
        assert self.is_passing, "a claimed calendar instant fired again"
        assert due > self.awaited_from, "a start or a forward step found it due"
        assert self.now - due <= self.timing.misfire_grace, "it fired again, but late"

    def check(self) -> None:
        """Check that every due fire has one verdict: none is recorded as missed twice, or after
        it ran.
        """
        claimed = {fire for _, fire in self.claims}
        due = self.due_fires(NOON)
        spans = [(miss.first, miss.last) for miss in self.missed]
        uncovered = [
            fire
            for fire in due
            if fire not in claimed and not any(first <= fire <= last for first, last in spans)
        ]
        assert uncovered == []
        if not self.was_dropped:
            all_due = self.due_fires(self.earliest - DAY)
            recorded = Counter(
                fire for fire in all_due for first, last in spans if first <= fire <= last
            )
            assert set(recorded.values()) <= {1}, "recorded as missed twice"
            assert sum(recorded.values()) == sum(miss.count for miss in self.missed)
        assert all(fire in self.state.claimed for fire in claimed)

    def due_fires(self, after: datetime) -> list[datetime]:
        """Return all fires later than `after`, up to the time of the latest look."""
        if isinstance(self.timing, RunLater):
            return [self.timing.start] if self.timing.start <= self.reached else []
        last = self.reached - delay_of(self.request)
        return list(takewhile(lambda fire: fire <= last, fires(self.timing.rule, after)))


@st.composite
def lives(draw: st.DrawFn) -> Life:
    name = draw(st.sampled_from("abc"))
    timing = draw(st.sampled_from(TIMINGS))
    timing = replace(timing, misfire_grace=draw(st.sampled_from([SECOND, MINUTE, HOUR])))
    life = Life(request_of(timing, name=name))
    whole = st.integers(1, 30).map(lambda count: count * 10 * MINUTE)
    durations = st.one_of(
        whole, st.integers(1, 120).map(lambda count: count * SECOND), whole.map(lambda d: d - TICK)
    )
    deeds: list[Callable[[timedelta], None]] = [
        life.wait,
        life.wait,
        life.hang,
        life.step,
        lambda duration: life.step(-duration),
        lambda duration: life.step(-duration),
        lambda duration: life.step(10 * duration),
        lambda duration: life.step(-10 * duration),
    ]
    if draw(st.booleans()):
        deeds.append(life.drop)
    for deed, duration in draw(st.lists(st.tuples(st.sampled_from(deeds), durations), max_size=25)):
        deed(duration)
    return life


@settings(max_examples=150)
@given(lives())
def test_no_claimed_instant_fires_twice_and_every_due_fire_has_a_verdict(life: Life) -> None:
    life.check()


@pytest.mark.campaign
@settings(max_examples=5_000)
@given(lives())
def test_campaign_no_claimed_instant_fires_twice_and_every_due_fire_has_a_verdict(
    life: Life,
) -> None:
    life.check()
