"""The heap under `schedule`: order, replacement, costs, and calls that fail or re-plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

import pytest
import schedule
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runner.schedule_loop import FireJob, FireScheduler


class Clock:
    """A clock that stands still until the test sets it."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s
        self.readings = 0

    def __call__(self) -> float:
        self.readings += 1
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scheduler(clock: Clock) -> FireScheduler:
    return FireScheduler(clock)


@pytest.fixture
def fired() -> list[str]:
    return []


def test_nothing_fires_before_its_time_and_everything_fires_at_it(
    scheduler: FireScheduler, clock: Clock, fired: list[str]
) -> None:
    scheduler.plan("a", 1000.5, fired.append)
    clock.now_s = math.nextafter(1000.5, 0)
    scheduler.run_pending()
    assert fired == []
    clock.now_s = 1000.5
    scheduler.run_pending()
    assert fired == ["a"]


def test_a_job_fires_once_and_is_then_unplanned(scheduler: FireScheduler, fired: list[str]) -> None:
    scheduler.plan("a", 999, fired.append)
    scheduler.run_pending()
    scheduler.run_pending()
    assert fired == ["a"]
    assert scheduler.get_jobs() == []
    assert scheduler.idle_seconds is None


def test_due_jobs_run_by_time_and_then_by_key(scheduler: FireScheduler, fired: list[str]) -> None:
    for key, at_s in [("b", 998.0), ("c", 997.0), ("a", 998.0), ("d", 996.5)]:
        scheduler.plan(key, at_s, fired.append)
    scheduler.run_pending()
    assert fired == ["d", "c", "a", "b"]


def test_a_new_plan_replaces_the_former_one_in_both_directions(
    scheduler: FireScheduler, clock: Clock, fired: list[str]
) -> None:
    for key, at_s in [("later", 999), ("later", 1010), ("earlier", 1010), ("earlier", 1001)]:
        scheduler.plan(key, at_s, fired.append)
    scheduler.run_pending()
    assert fired == []
    clock.now_s = 1005
    scheduler.run_pending()
    assert fired == ["earlier"]
    clock.now_s = 2000
    scheduler.run_pending()
    assert fired == ["earlier", "later"]


def test_a_forgotten_job_does_not_fire_and_forgetting_an_unknown_key_does_nothing(
    scheduler: FireScheduler, fired: list[str]
) -> None:
    scheduler.plan("a", 999, fired.append)
    scheduler.forget("a")
    scheduler.forget("a")
    scheduler.forget("unknown")
    scheduler.run_pending()
    assert fired == []


def test_the_clock_is_read_once_so_that_a_slow_call_cannot_prolong_a_turn(
    scheduler: FireScheduler, clock: Clock, fired: list[str]
) -> None:
    def slow(key: str) -> None:
        fired.append(key)
        clock.now_s += 60

    scheduler.plan("a", 1000, slow)
    scheduler.plan("b", 1030, fired.append)
    clock.readings = 0
    scheduler.run_pending()
    assert (fired, clock.readings) == (["a"], 1)
    scheduler.run_pending()
    assert fired == ["a", "b"]


def test_a_job_that_plans_itself_for_the_past_fires_again_only_in_the_next_call(
    scheduler: FireScheduler, fired: list[str]
) -> None:
    def again(key: str) -> None:
        fired.append(key)
        scheduler.plan(key, 0, again)

    scheduler.plan("a", 999, again)
    for turn in range(1, 4):
        scheduler.run_pending()
        assert fired == ["a"] * turn


def test_a_call_may_forget_or_move_a_later_due_job(
    scheduler: FireScheduler, fired: list[str]
) -> None:
    def meddle(key: str) -> None:
        fired.append(key)
        scheduler.forget("b")
        scheduler.plan("c", 1001, fired.append)

    scheduler.plan("a", 997, meddle)
    scheduler.plan("b", 998, fired.append)
    scheduler.plan("c", 999, fired.append)
    scheduler.run_pending()
    assert fired == ["a"]
    assert scheduler.idle_seconds == 1


def test_an_exception_reaches_the_caller_and_the_other_jobs_still_run(
    scheduler: FireScheduler, fired: list[str]
) -> None:
    def fail(key: str) -> None:
        raise LookupError(key)

    scheduler.plan("a", 997, fired.append)
    scheduler.plan("b", 998, fail)
    scheduler.plan("c", 999, fired.append)
    scheduler.plan("d", 1001, fired.append)
    with pytest.raises(LookupError, match="b"):
        scheduler.run_pending()
    assert fired == ["a"]
    assert scheduler.idle_seconds == -1
    scheduler.run_pending()
    assert fired == ["a", "c"]
    assert scheduler.idle_seconds == 1


def test_idle_seconds_are_exact_skip_stale_jobs_and_are_negative_when_overdue(
    scheduler: FireScheduler, clock: Clock, fired: list[str]
) -> None:
    scheduler.plan("gone", 1000.1, fired.append)
    scheduler.plan("a", 1000.25, fired.append)
    scheduler.forget("gone")
    assert scheduler.idle_seconds == 0.25
    clock.now_s = 1002.25
    assert scheduler.idle_seconds == -2


def test_the_display_of_schedule_itself_keeps_its_meaning(
    scheduler: FireScheduler, fired: list[str]
) -> None:
    assert scheduler.next_run is None
    scheduler.plan("gone", 10, fired.append)
    scheduler.forget("gone")
    scheduler.plan("b", 86400.5, fired.append)
    scheduler.plan("a", 90000, fired.append)
    first = datetime(1970, 1, 2, 0, 0, 0, 500_000, tzinfo=UTC).astimezone().replace(tzinfo=None)
    assert scheduler.next_run == scheduler.get_next_run() == first
    assert scheduler.get_next_run("b") == first
    assert scheduler.get_next_run("unknown") is None
    assert {job.next_run for job in scheduler.get_jobs("b")} == {first}
    assert sorted(repr(job) for job in scheduler.get_jobs()) == [
        "FireJob('a', at_s=90000)",
        "FireJob('b', at_s=86400.5)",
    ]


def test_should_run_says_what_run_pending_will_do(
    scheduler: FireScheduler, clock: Clock, fired: list[str]
) -> None:
    scheduler.plan("a", 1001, fired.append)
    (job,) = scheduler.get_jobs()
    assert not job.should_run
    clock.now_s = 1001
    assert job.should_run


def test_the_last_instant_of_the_calendar_can_be_planned(
    scheduler: FireScheduler, fired: list[str]
) -> None:
    scheduler.plan("a", datetime.max.replace(tzinfo=UTC).timestamp(), fired.append)
    assert scheduler.next_run is not None


def test_cancel_job_drops_that_very_job_and_not_its_successor(
    scheduler: FireScheduler, fired: list[str]
) -> None:
    scheduler.plan("a", 998, fired.append)
    (former,) = scheduler.get_jobs()
    scheduler.plan("a", 999, fired.append)
    scheduler.cancel_job(former)
    scheduler.run_pending()
    assert fired == ["a"]
    scheduler.plan("a", 999, fired.append)
    scheduler.cancel_job(scheduler.get_jobs()[0])
    scheduler.cancel_job(schedule.Job(1))
    scheduler.run_pending()
    assert fired == ["a"]


def test_clear_drops_one_key_or_all(scheduler: FireScheduler, fired: list[str]) -> None:
    for key in "abc":
        scheduler.plan(key, 999, fired.append)
    scheduler.clear("b")
    scheduler.run_pending()
    assert fired == ["a", "c"]
    for key in "abc":
        scheduler.plan(key, 999, fired.append)
    scheduler.clear()
    scheduler.run_pending()
    assert fired == ["a", "c"]


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 20)), max_size=40))
def test_the_last_plan_of_each_key_fires_in_order(plans: list[tuple[str, int]]) -> None:
    scheduler, fired = FireScheduler(lambda: 10.0), list[str]()
    for key, at_s in plans:
        scheduler.plan(key, at_s, fired.append)
    scheduler.run_pending()
    last = dict(plans)
    assert fired == [
        key for at_s, key in sorted((at_s, key) for key, at_s in last.items()) if at_s <= 10
    ]


@dataclass(frozen=True, eq=False, kw_only=True)
class Planned:
    """One plan of a key, and the action of its call: plan a key, forget one, or fail."""

    key: str
    at_s: float
    plans: tuple[str, int] | None = None
    forgets: str | None = None
    fails: bool = False


KEYS = st.sampled_from([f"k{number}" for number in range(6)])
DELAYS = st.integers(-3, 12)


class AgainstADictionary(RuleBasedStateMachine):
    """Compare any sequence of plans, cancellations, failures and turns with a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock(0)
        self.scheduler = FireScheduler(self.clock)
        self.expected: dict[str, Planned] = {}
        self.fired: list[Planned] = []

    def plan_in_both(self, planned: Planned) -> None:
        self.expected[planned.key] = planned
        self.plan_really(planned)

    def plan_really(self, planned: Planned) -> None:
        def call(key: str) -> None:
            assert key == planned.key
            self.fired.append(planned)
            if planned.forgets:
                self.scheduler.forget(planned.forgets)
            if planned.plans:
                self.plan_really(self.planned_by(planned, planned.plans))
            if planned.fails:
                raise LookupError

        self.scheduler.plan(planned.key, planned.at_s, call)

    def planned_by(self, planned: Planned, plans: tuple[str, int]) -> Planned:
        return Planned(key=plans[0], at_s=planned.at_s + plans[1])

    def expected_turn(self) -> list[Planned]:
        """Play a turn in the dictionary only."""
        fired = []
        due = [planned for planned in self.expected.values() if planned.at_s <= self.clock.now_s]
        for planned in sorted(due, key=lambda one: (one.at_s, one.key)):
            if self.expected.get(planned.key) is not planned:
                continue
            fired.append(self.expected.pop(planned.key))
            if planned.forgets:
                self.expected.pop(planned.forgets, None)
            if planned.plans:
                self.expected[planned.plans[0]] = self.planned_by(planned, planned.plans)
            if planned.fails:
                break
        return fired

    @rule(key=KEYS, delay=DELAYS, fails=st.booleans())
    def plan(self, key: str, delay: int, fails: bool) -> None:
        self.plan_in_both(Planned(key=key, at_s=self.clock.now_s + delay, fails=fails))

    @rule(key=KEYS, delay=DELAYS, plans=st.tuples(KEYS, DELAYS), forgets=st.none() | KEYS)
    def plan_one_that_meddles(
        self, key: str, delay: int, plans: tuple[str, int], forgets: str | None
    ) -> None:
        self.plan_in_both(
            Planned(key=key, at_s=self.clock.now_s + delay, plans=plans, forgets=forgets)
        )

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.expected.pop(key, None)
        self.scheduler.forget(key)

    @rule(key=KEYS, times=st.integers(1, 200))
    def replan_again_and_again(self, key: str, times: int) -> None:
        for delay in range(times):
            self.plan_in_both(Planned(key=key, at_s=self.clock.now_s + delay % 7))

    @rule(seconds=st.integers(-2, 5))
    def pass_time(self, seconds: int) -> None:
        self.clock.now_s += seconds

    @rule()
    def turn(self) -> None:
        self.fired = []
        expected = self.expected_turn()
        fails = bool(expected) and expected[-1].fails
        with pytest.raises(LookupError) if fails else nullcontext():
            self.scheduler.run_pending()
        assert self.summary(self.fired) == self.summary(expected)

    @staticmethod
    def summary(planned: Iterable[Planned]) -> list[tuple[float, str]]:
        return [(one.at_s, one.key) for one in planned]

    @invariant()
    def what_is_planned_is_what_was_planned(self) -> None:
        jobs = [job for job in self.scheduler.get_jobs() if isinstance(job, FireJob)]
        assert sorted((job.at_s, job.key) for job in jobs) == sorted(
            self.summary(self.expected.values())
        )
        earliest = min((planned.at_s for planned in self.expected.values()), default=None)
        assert self.scheduler.idle_seconds == (
            None if earliest is None else earliest - self.clock.now_s
        )

    @invariant()
    def garbage_is_bounded(self) -> None:
        assert len(self.scheduler.jobs) < 100


TestAgainstADictionary = AgainstADictionary.TestCase
TestAgainstADictionary.settings = settings(max_examples=40)


def test_endless_replanning_keeps_the_heap_small(
    scheduler: FireScheduler, fired: list[str]
) -> None:
    for number in range(10_000):
        scheduler.plan(f"k{number % 10}", 2000 + number, fired.append)
    assert len(scheduler.jobs) < 100
    for key in range(10):
        scheduler.forget(f"k{key}")
    for number in range(1000):
        scheduler.plan("a", 9000 - number, fired.append)
        scheduler.forget("a")
    assert len(scheduler.jobs) < 100


@pytest.fixture
def touches(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Count how often any fire time is read or compared. Each call restarts from 0."""
    counter, seen = count(), 0

    def read(job: FireJob) -> float:
        next(counter)
        at_s = job.__dict__["at_s"]
        assert isinstance(at_s, float)
        return at_s

    def write(job: FireJob, at_s: float) -> None:
        job.__dict__["at_s"] = at_s

    def since() -> int:
        nonlocal seen
        now = next(counter)
        touched, seen = now - seen, now + 1
        return touched

    monkeypatch.setattr(FireJob, "at_s", property(read, write), raising=False)
    yield since


@pytest.mark.parametrize("registered", [10, 1000, 20_000])
def test_an_idle_turn_touches_one_fire_time_whatever_is_registered(
    scheduler: FireScheduler, fired: list[str], touches: Callable[[], int], registered: int
) -> None:
    for number in range(registered):
        scheduler.plan(f"k{number}", 2000.0 + number * 7919 % registered, fired.append)
    touches()
    scheduler.run_pending()
    assert touches() == 1
    assert scheduler.idle_seconds == 1000
    assert touches() == 1
    assert scheduler.next_run is not None
    assert touches() == 0


@pytest.mark.parametrize("registered", [1000, 20_000])
def test_a_fire_a_plan_and_a_cancellation_touch_about_as_many_as_the_heap_is_deep(
    scheduler: FireScheduler,
    clock: Clock,
    fired: list[str],
    touches: Callable[[], int],
    registered: int,
) -> None:
    for number in range(registered):
        scheduler.plan(f"k{number}", 2000.0 + number * 7919 % registered, fired.append)
    touches()
    clock.now_s = 2000.0
    scheduler.run_pending()
    scheduler.plan("k1", 1990.0, fired.append)
    scheduler.forget("k1")
    assert scheduler.idle_seconds == 1
    assert fired == ["k0"]
    assert touches() < 10 * math.log2(registered)
