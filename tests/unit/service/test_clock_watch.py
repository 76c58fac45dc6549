"""What a runner knows of its own clock: steps, trust, and its memory over restarts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from support.clock_world import DAY, HOUR, MINUTE, NOON, SECOND, GivenClock

from runner import RELEASED
from runner.planning.fires.clock_steps import Reopened
from runner.service.clock_watch import KEY, SAVE_EVERY_S, ClockWatch, memory_in
from runner.values import EPOCH


def watching(clock: GivenClock, meta: dict[str, str] | None = None) -> ClockWatch:
    return ClockWatch(clock, meta or {}, released=EPOCH + DAY)


def is_forgetting_due(watch: ClockWatch) -> bool:
    watch.look()
    return watch.is_forgetting_due


def is_saving_due(watch: ClockWatch) -> bool:
    watch.look()
    return watch.is_saving_due


def trouble_of(watch: ClockWatch) -> str | None:
    return watch.trouble


def went_back(watch: ClockWatch, clock: GivenClock, by: timedelta) -> None:
    """Set the clock back and accept the step as committed."""
    clock.step(-by)
    step = watch.look()
    assert step is not None
    watch.accept(step)


def test_a_step_stays_pending_until_it_is_committed() -> None:
    clock = GivenClock(NOON)
    watch = watching(clock)
    clock.step(-2 * HOUR)
    step = watch.look()
    assert step is not None
    assert (step.seconds, step.behind) == (-7200.0, -2 * HOUR)
    assert step.reopened == Reopened(begin=NOON - 2 * HOUR, end=NOON)
    assert watch.look() == step
    watch.accept(step)
    assert watch.look() is None


def test_steps_too_small_to_notice_add_up() -> None:
    """The clock runs at a tenth of its speed: no look sees a step, yet it falls behind."""
    clock = GivenClock(NOON)
    watch = watching(clock)
    for _ in range(66):
        clock.step(-0.9 * SECOND)
        assert watch.look() is None
    clock.step(-0.9 * SECOND)
    step = watch.look()
    assert step is not None
    assert step.reopened == Reopened(begin=NOON - 60.3 * SECOND, end=NOON)
    assert step.seconds == -60.3


def test_a_clock_that_catches_up_has_not_gone_back() -> None:
    clock = GivenClock(NOON)
    watch = watching(clock)
    for _ in range(10):
        went_back(watch, clock, 45 * SECOND)
        clock.go_on(45 * SECOND)
        assert watch.look() is None
    assert memory_in(watch.memory()) is not None
    assert "from" not in watch.memory()[KEY]


def test_small_steps_back_add_up_over_restarts() -> None:
    clock = GivenClock(NOON)
    meta = watching(clock).memory()
    reopened = []
    for _ in range(2):
        clock.step(-45 * SECOND)
        watch = watching(clock, meta)
        step = watch.look()
        assert step is not None
        assert (step.seconds, step.behind) == (-45.0, -45 * SECOND)
        meta = watch.memory_after(step)
        reopened.append(step.reopened)
    assert reopened == [None, Reopened(begin=NOON - 90 * SECOND, end=NOON)]


def test_a_day_of_running_excludes_sleep_and_continues_over_restarts() -> None:
    clock = GivenClock(NOON)
    watch = watching(clock)
    watch.look()
    went_back(watch, clock, 2 * DAY)
    clock.go_on(23 * HOUR)
    watch.look()
    clock.step(10 * HOUR)
    assert not is_forgetting_due(watch)
    watch = watching(clock, watch.memory())
    clock.go_on(59 * MINUTE)
    assert not is_forgetting_due(watch)
    clock.go_on(MINUTE)
    assert is_forgetting_due(watch)
    watch.accept(None)
    assert not is_forgetting_due(watch)
    assert "from" not in watch.memory()[KEY]


def test_an_idle_runner_saves_its_running_time_now_and_then() -> None:
    clock = GivenClock(NOON)
    watch = watching(clock)
    clock.go_on(SAVE_EVERY_S * SECOND)
    assert not is_saving_due(watch), "the clock never went back"
    went_back(watch, clock, HOUR)
    watch.memory()
    clock.go_on(SAVE_EVERY_S * SECOND)
    assert is_saving_due(watch)
    watch.memory()
    assert not is_saving_due(watch)


def test_a_clock_that_is_certainly_wrong_is_not_remembered() -> None:
    clock = GivenClock(NOON)
    former = watching(clock).memory()
    clock.at = EPOCH
    watch = watching(clock, former)
    assert watch.look() is None
    assert trouble_of(watch) is not None
    assert watch.memory() == {}
    clock.at = NOON - HOUR
    step = watch.look()
    assert trouble_of(watch) is None
    assert step is not None
    assert step.seconds == (NOON - HOUR - EPOCH).total_seconds()
    assert (step.behind, step.reopened) == (-HOUR, Reopened(begin=NOON - HOUR, end=NOON))


def test_the_release_date_is_not_in_the_future() -> None:
    assert datetime.now(UTC) >= RELEASED
