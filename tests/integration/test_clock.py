"""Clocks that stop, jump, go back or sleep: what fires, what is missed, and that
nothing fires twice.

First with a clock that the test moves, around the loop itself. Then with real
processes: a runner that SIGSTOP stops past several fires, and one whose clock
libfaketime sets.
"""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from support.clock_world import (
    DAY,
    EVERY_TEN_SECONDS,
    HOUR,
    LIBRARY,
    MINUTE,
    NOON,
    POLICIES,
    SECOND,
    GivenClock,
    Life,
    SetClock,
    at,
    by_the_book,
    declare,
    grid,
    is_missed,
    living,
    ran,
    recorded_steps,
    span_of,
    spans,
)
from support.place import Place, Record, wait_until
from support.runner_inside import started

from runner.service.clock_watch import SAVE_EVERY_S
from runner.service.trouble import ALIVE
from runner.store.opening import read_store

# Only a hang reaches this limit: on a slow machine a hundred executions take long.
pytestmark = pytest.mark.timeout(600)

EVER = datetime.min.replace(tzinfo=UTC)


def check_verdicts(records: list[Record], step: timedelta, misfire: str, grace: timedelta) -> None:
    """Check the records of a request that fires on a grid.

    Each fire between the first and the last recorded one has one verdict, and the
    missed spans are those of `by_the_book`.
    """
    claims = Counter(ran(records))
    assert set(claims.values()) == {1}, "a fire ran twice"
    reported = sorted(spans(records), key=lambda span: span[1])
    last = max([*claims, *(until for _, _, until in reported)])
    first = min([*claims, *(begin for _, begin, _ in reported)])
    expected = set(grid(step, first, last))
    for record in filter(is_missed, records):
        count, begin, until = spans([record])[0]
        due = grid(step, begin, at(record, "time"))
        verdicts = by_the_book(due, at(record, "time"), misfire, grace)
        assert span_of(verdicts.missed) == [(count, begin, until)]
        assert [fire for fire in due if fire in claims] == verdicts.run
        expected -= {fire for fire in due if fire not in verdicts.run}
    assert claims.keys() == expected
    for one, other in pairwise(reported):
        assert one[2] < other[1], "two spans overlap"


@pytest.mark.parametrize("misfire", POLICIES)
@pytest.mark.parametrize("kind", EVERY_TEN_SECONDS)
@pytest.mark.parametrize(
    "way", ["the clock steps forward, or the machine sleeps", "the loop hangs", "it is down"]
)
def test_fires_that_fall_due_during_an_outage_follow_misfire(
    place: Place, kind: str, misfire: str, way: str
) -> None:
    declare(place, "p", EVERY_TEN_SECONDS[kind], misfire=misfire, misfire_grace="3s")
    clock = GivenClock(NOON)
    with living(place, clock) as life:
        life.go_on(10 * SECOND)
        if way == "the loop hangs":
            life.go_on(95 * SECOND)
        elif way != "it is down":
            life.step(95 * SECOND)
    if way == "it is down":
        clock.go_on(95 * SECOND)
    with living(place, clock) as life:
        life.go_on(5 * SECOND)
    due = grid(10 * SECOND, NOON + 20 * SECOND, NOON + 105 * SECOND)
    verdicts = by_the_book(due, NOON + 105 * SECOND, misfire, 3 * SECOND)
    records = place.finished("p")
    assert len(due) == 9
    assert ran(records) == [NOON + 10 * SECOND, *verdicts.run, NOON + 110 * SECOND]
    assert spans(records) == span_of(verdicts.missed)
    assert recorded_steps(place) == ([95.0] if way.startswith("the clock") else [])


@pytest.mark.parametrize("misfire", POLICIES)
def test_a_weekend_down_is_one_missed_record_and_at_most_a_hundred_catch_ups(
    place: Place, misfire: str
) -> None:
    schedules = {
        "minutely": (MINUTE, {"frequency": "minutely"}),
        "cron": (MINUTE, {"frequency": "cron", "expression": "* * * * *"}),
        "hourly": (HOUR, {"frequency": "hourly"}),
    }
    for name, (_, schedule) in schedules.items():
        declare(place, name, schedule, misfire=misfire, misfire_grace="10s")
    clock = GivenClock(NOON)
    with living(place, clock):
        clock.go_on(60 * HOUR + 30 * SECOND)
    now = clock.at
    for _ in range(2):
        with living(place, clock):
            clock.go_on(SECOND)
    for name, (step, _) in schedules.items():
        verdicts = by_the_book(grid(step, NOON + SECOND, now), now, misfire, 10 * SECOND)
        records = place.finished(name)
        assert ran(records) == verdicts.run
        assert spans(records) == span_of(verdicts.missed)
    claimed = [
        at(record, "scheduled_for") for record in place.events("execution.started", "minutely")
    ]
    assert claimed == sorted(claimed), "the oldest starts first"
    assert len(claimed) == {"skip": 0, "fire_once": 1, "fire_all": 100}[misfire]


@pytest.mark.parametrize(
    ("misfire", "runs"), [("skip", False), ("fire_once", True), ("fire_all", True)]
)
def test_a_run_later_missed_during_sleep_follows_misfire_and_is_complete(
    place: Place, misfire: str, runs: bool
) -> None:
    place.declare("p", "true", {"run_later": {"start": "2026-03-02 13:00", "misfire": misfire}})
    with living(place, GivenClock(NOON)) as life:
        life.step(3 * HOUR)
        life.step(3 * HOUR)
    records = place.finished("p")
    assert ran(records) == [NOON + HOUR] * runs
    assert spans(records) == ([] if misfire == "fire_all" else [(1, NOON + HOUR, NOON + HOUR)])
    assert len(place.events("request.completed", "p")) == 1


def test_after_a_step_back_intervals_continue_at_once_and_no_time_of_day_runs_twice(
    place: Place,
) -> None:
    declare(place, "interval", {"frequency": "secondly", "interval": 10})
    declare(place, "daily", {"frequency": "daily", "at": "12:00"})
    declare(place, "cron", EVERY_TEN_SECONDS["cron"])
    with living(place, GivenClock(NOON - 5 * SECOND)) as life:
        life.go_on(30 * SECOND, by=5 * SECOND)
        life.step(-HOUR)
        back = life.clock.at
        life.go_on(30 * SECOND, by=5 * SECOND)
        life.step(NOON + 25 * SECOND - life.clock.at)
        life.go_on(10 * SECOND, by=5 * SECOND)
        life.step(DAY - 30 * SECOND)
    first, second = (
        grid(10 * SECOND, NOON, NOON + 25 * SECOND),
        grid(10 * SECOND, back, back + 30 * SECOND),
    )
    for name in ("interval", "cron"):
        records = place.finished(name)
        by_generation = {
            number: ran(each for each in records if each["generation"] == number)
            for number in (1, 2)
        }
        assert by_generation[1] == first
        assert by_generation[2][:4] == [*second, NOON + 30 * SECOND]
        assert spans(records)[0][1] == NOON + 40 * SECOND, (
            "a fire that had its verdict was recorded as missed"
        )
    assert ran(place.finished("daily")) == [NOON, NOON + DAY]
    step_back = place.events("runner.clock_stepped")[0]
    assert step_back["step_s"] == -3600.0
    assert (at(step_back, "reopened_from"), at(step_back, "reopened_until")) == (
        back,
        NOON + 25 * SECOND,
    )


def test_a_step_back_below_60_s_fires_nothing_twice_and_opens_no_generation(place: Place) -> None:
    for kind, schedule in EVERY_TEN_SECONDS.items():
        declare(place, kind, schedule)
    with living(place, GivenClock(NOON)) as life:
        life.go_on(60 * SECOND, by=5 * SECOND)
        life.step(-40 * SECOND)
        life.go_on(60 * SECOND, by=5 * SECOND)
    for kind in EVERY_TEN_SECONDS:
        records = place.finished(kind)
        assert ran(records) == grid(10 * SECOND, NOON + SECOND, NOON + 80 * SECOND)
        assert {record["generation"] for record in records} == {1}
    assert recorded_steps(place) == [-40.0]


def test_several_small_steps_back_add_up_to_a_step(place: Place) -> None:
    declare(place, "p", EVERY_TEN_SECONDS["interval"])
    with living(place, GivenClock(NOON)) as life:
        life.go_on(10 * SECOND)
        life.step(-40 * SECOND)
        life.step(-40 * SECOND)
        life.go_on(10 * SECOND)
    assert [
        (record["generation"], at(record, "scheduled_for")) for record in place.finished("p")
    ] == [
        (1, NOON + 10 * SECOND),
        (2, NOON - 60 * SECOND),
    ]


def test_after_a_step_back_an_interval_with_a_spread_continues_at_once(place: Place) -> None:
    declare(place, "p", {"frequency": "secondly", "interval": 10}, spread="1h")
    with living(place, GivenClock(NOON)) as life:
        life.go_on(HOUR + 10 * SECOND)
        before = len(ran(place.finished("p")))
        assert before > 0
        life.step(-2 * HOUR)
        life.go_on(30 * SECOND, by=10 * SECOND)
    records = [record for record in place.finished("p") if not is_missed(record)]
    assert [record["generation"] for record in records[before:]] == [2, 2, 2]


def test_clock_steps_leave_one_time_requests_alone(place: Place) -> None:
    place.declare("at-once", "true", "run_immediately")
    place.declare("later", "true", {"run_later": {"start": "2026-03-02 12:30"}})
    with living(place, GivenClock(NOON)) as life:
        life.step(-HOUR)
        life.go_on(89 * MINUTE)
        assert ran(place.finished("later")) == []
        life.go_on(MINUTE)
        life.step(-HOUR)
        life.go_on(2 * HOUR)
    assert ran(place.finished("at-once")) == [NOON]
    assert ran(place.finished("later")) == [NOON + 30 * MINUTE]


def test_running_executions_ignore_a_clock_step(place: Place) -> None:
    place.declare("p", "until [ -e ../go ]; do sleep 0.02; done", "run_immediately", timeout="30m")
    clock = GivenClock(NOON)
    with started(place.jobs, clock, state=place.state, log=place.log) as runner:
        runner.turn()
        for step in (2 * HOUR, -5 * HOUR):
            clock.step(step)
            runner.turn()
            runner.wait(at_most_s=0.01)
        assert runner.is_executing
        clock.go_on(7 * SECOND)
        place.open_gate()
        Life(runner, clock).settle()
    (record,) = place.finished("p")
    assert (record["status"], record["duration_s"]) == ("success", 7.0)


def test_a_runner_that_saves_its_running_time_after_a_step_back_counts_as_alive(
    place: Place,
) -> None:
    place.declare("p", "true")
    clock = GivenClock(NOON)
    with living(place, clock) as life:
        life.step(-2 * HOUR)
        life.go_on(timedelta(seconds=SAVE_EVERY_S))
        with closing(read_store(place.store)) as reader:
            assert reader.meta()[ALIVE] == str(os.getpid())


@pytest.mark.parametrize("is_away", [False, True], ids=["seen by the runner", "while it is down"])
def test_a_step_back_does_not_prolong_the_delay_of_a_retry(place: Place, is_away: bool) -> None:
    place.declare("p", "exit 1", "run_immediately", retry={"attempts": 2, "delay": "10m"})
    clock = GivenClock(NOON)

    def until_finished(count: int) -> None:
        def is_recorded() -> bool:
            runner.turn()
            runner.wait(at_most_s=0.02)
            return len(place.finished("p")) == count

        wait_until(is_recorded, within_s=120, what=f"{count} attempts")

    with started(place.jobs, clock, state=place.state, log=place.log) as runner:
        until_finished(1)
        clock.go_on(4 * MINUTE)
        runner.turn()
        if not is_away:
            clock.step(-2 * HOUR)
            runner.turn()
    if is_away:
        clock.step(-2 * HOUR)
    with started(place.jobs, clock, state=place.state, log=place.log) as runner:
        clock.go_on(5 * MINUTE)
        runner.turn()
        assert len(place.events("execution.started", "p")) == 1
        # A runner that was down knows only the time of its last commit, four minutes
        # before the step.
        clock.go_on((6 if is_away else 2) * MINUTE)
        until_finished(2)
    (step_s,) = recorded_steps(place)
    assert step_s == (-6960.0 if is_away else -7200.0)


def test_a_start_at_an_earlier_time_is_recorded_once_as_a_step_back(place: Place) -> None:
    declare(place, "interval", EVERY_TEN_SECONDS["interval"])
    declare(place, "daily", {"frequency": "daily", "at": "12:00"})
    clock = GivenClock(NOON - 5 * SECOND)
    with living(place, clock) as life:
        life.go_on(15 * SECOND, by=5 * SECOND)
    clock.step(-2 * HOUR)
    with living(place, clock) as life:
        life.go_on(10 * SECOND)
    with living(place, clock) as life:
        life.go_on(10 * SECOND)
        life.step(NOON + SECOND - life.clock.at)
    interval = [
        (record["generation"], at(record, "scheduled_for")) for record in place.finished("interval")
    ][:4]
    assert interval == [
        (1, NOON),
        (1, NOON + 10 * SECOND),
        (2, NOON - 2 * HOUR + 20 * SECOND),
        (2, NOON - 2 * HOUR + 30 * SECOND),
    ]
    assert ran(place.finished("daily")) == [NOON]
    assert recorded_steps(place)[0] == -7200.0
    assert [step for step in recorded_steps(place) if step < 0] == [-7200.0]


# --- long rules, over restarts and edits
# --------------------------------------------------------------------------------------

LONG_RULES: dict[str, tuple[dict[str, object], list[str]]] = {
    "fortnightly": (
        {
            "frequency": "weekly",
            "interval": 2,
            "days": ["wednesday", "friday"],
            "at": "03:00",
            "start": "2026-03-04",
        },
        ["03-04", "03-06", "03-18", "03-20", "04-01", "04-03", "04-15", "04-17", "04-29", "05-01"],
    ),
    "quarterly": ({"frequency": "monthly", "interval": 3, "day": "last", "at": "18:00"}, ["04-30"]),
    "on-the-31st": ({"frequency": "monthly", "day": 31, "at": "18:00"}, ["03-31"]),
    "counted": (
        {
            "frequency": "daily",
            "interval": 4,
            "at": "02:00",
            "start": "2026-03-03",
            "repetitions": 5,
        }
        | {"except": ["2026-03-07"]},
        ["03-03", "03-11", "03-15", "03-19", "03-23", "03-27"],
    ),
    "spread": (
        {"frequency": "weekly", "days": ["monday"], "at": "11:00", "spread": "30m"},
        [f"{NOON + week * 7 * DAY:%m-%d}" for week in range(1, 10)],
    ),
}


def test_weekly_and_monthly_rules_survive_restarts_and_edits(place: Place) -> None:
    """Nine weeks, each a life of the runner that begins late; each edit leaves the
    rules alone.
    """
    clock = GivenClock(NOON)
    for week in range(10):
        for name, (schedule, _) in LONG_RULES.items():
            timing = {"schedule": schedule | {"misfire": "fire_all"}}
            place.declare(name, f"true {week}", timing, top={"description": f"as in week {week}"})
        with living(place, clock) as life:
            life.go_on(3 * DAY)
        clock.go_on(4 * DAY)
    for name, (schedule, days) in LONG_RULES.items():
        expected = [f"2026-{day} {schedule['at']}" for day in days]
        assert [f"{fire:%Y-%m-%d %H:%M}" for fire in ran(place.finished(name))] == expected, name
        assert {record["generation"] for record in place.finished(name)} == {1}
    assert len(place.events("request.completed")) == 1


def test_a_changed_interval_counts_from_the_change_and_a_later_finish_reopens(place: Place) -> None:
    every_other = {
        "frequency": "daily",
        "interval": 2,
        "at": "13:00",
        "start": "2026-03-02",
        "finish": "2026-03-05",
    }
    clock = GivenClock(NOON)

    def live(days: int, **changes: object) -> None:
        declare(place, "p", every_other | changes, misfire="fire_all")
        with living(place, clock) as life:
            life.go_on(days * DAY, by=DAY)

    live(6)  # 2 and 4 March; over on the 5th
    live(4, finish="2026-03-31")  # revived on the 8th at noon: it is a day of the rule
    live(5, finish="2026-03-31", interval=3)  # from the 12th on, and still counted from the 2nd
    days = [f"{fire:%d}" for fire in ran(place.finished("p"))]
    assert days == ["02", "04", "08", "10", "14"]
    assert [record["generation"] for record in place.finished("p")] == [1, 1, 1, 1, 2]


# --- any life of a clock
# --------------------------------------------------------------------------------------


TIMES_OF_DAY = {"frequency": "cron", "expression": "0,10,20,30,40,50 0-59 0-23 * * *"}
LIVELY = EVERY_TEN_SECONDS | {"calendar": TIMES_OF_DAY}


@dataclass
class Lives:
    """A runner's lives under a clock that changes at random, and the guarantees at the end."""

    place: Place
    chance: random.Random
    longest_s: int
    clock: GivenClock = field(default_factory=lambda: GivenClock(NOON))
    seen: list[datetime] = field(default_factory=lambda: [NOON])

    def live(self, deeds: int) -> None:
        """Let time pass, step the clock and stall the loop, `deeds` times in all."""
        with living(self.place, self.clock) as life:
            for _ in range(deeds):
                self.one_deed(life)
                self.seen.append(self.clock.at)

    def one_deed(self, life: Life) -> None:
        duration = timedelta(seconds=self.chance.choice([0.5, 3, 10, 25, 61, 100, self.longest_s]))
        deeds: list[Callable[[timedelta], None]] = [
            life.go_on,
            life.go_on,
            life.step,
            lambda by: life.step(-by),
        ]
        self.chance.choice(deeds)(duration)

    def away(self) -> None:
        """Let time pass, or step back, while no runner lives."""
        self.clock.step(
            timedelta(
                seconds=self.chance.choice([-self.longest_s, -100, -10, 0, 10, 100, self.longest_s])
            )
        )
        self.seen.append(self.clock.at)

    def check(self) -> None:
        """Every due fire has a verdict; none runs twice in a generation, or at all if
        it is a time of day.
        """
        due = grid(10 * SECOND, NOON + 10 * SECOND, max(self.seen))
        for name in LIVELY:
            for misfire in POLICIES:
                records = self.place.finished(f"{name}-{misfire}")
                claims = Counter(
                    (record["generation"], fire) for record, fire in claims_of(records)
                )
                assert set(claims.values()) <= {1}, "a fire ran twice"
                if name == "calendar":
                    assert len({fire for _, fire in claims}) == len(claims), (
                        "a time of day ran twice"
                    )
                claimed, missed = (
                    set(ran(records)),
                    sorted(spans(records), key=lambda span: span[1]),
                )
                reported = [
                    fire for _, begin, until in missed for fire in grid(10 * SECOND, begin, until)
                ]
                assert set(due) <= claimed | set(reported), "a due fire has no verdict"
                assert all(one[2] < other[1] for one, other in pairwise(missed)), "missed twice"
                assert len(reported) == sum(count for count, _, _ in missed), (
                    "claimed, and recorded as missed later"
                )


def claims_of(records: Iterable[Record]) -> Iterator[tuple[Record, datetime]]:
    return ((record, at(record, "scheduled_for")) for record in records if not is_missed(record))


def live_any_life(place: Place, seed: int, *, lives: int, deeds: int, longest_s: int) -> None:
    for kind, schedule in LIVELY.items():
        for misfire in POLICIES:
            declare(place, f"{kind}-{misfire}", schedule, misfire=misfire)
    print(f"seed {seed}")
    life = Lives(place, random.Random(seed), longest_s)
    for _ in range(lives):
        life.live(deeds)
        life.away()
    with living(place, life.clock):
        pass
    life.clock.at = max(life.seen) + 10 * SECOND
    life.seen.append(life.clock.at)
    with living(place, life.clock):
        pass
    life.check()


def test_each_fire_has_one_verdict_under_a_random_clock(place: Place) -> None:
    live_any_life(place, random.SystemRandom().randrange(10**6), lives=2, deeds=5, longest_s=200)


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(40))
def test_campaign_each_fire_has_one_verdict_under_a_random_clock(place: Place, seed: int) -> None:
    live_any_life(place, seed, lives=4, deeds=12, longest_s=4000)


# --- a runner that is really stopped
# --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A schedule that fires at whole multiples of `step`, with its grace."""

    name: str
    schedule: Mapping[str, object]
    step: timedelta
    grace: timedelta

    def declare(self, place: Place, misfire: str) -> None:
        """Declare a request whose process also notes each run."""
        grace = f"{int(self.grace / timedelta(milliseconds=1))}ms"
        timing = {**self.schedule, "misfire": misfire, "misfire_grace": grace}
        line = f"echo $RUNNER_SCHEDULED_FOR >> ../{self.name}.{misfire}.ran"
        place.declare(f"{self.name}.{misfire}", line, {"schedule": timing})

    def check(self, place: Place, misfire: str, stopped: datetime, continued: datetime) -> None:
        """Check the records, that the outage is in them, and that what they tell of is
        what has run.
        """
        records = place.finished(f"{self.name}.{misfire}")
        check_verdicts(records, self.step, misfire, self.grace)
        runs = (place.folder / f"{self.name}.{misfire}.ran").read_text().split()
        assert sorted(map(datetime.fromisoformat, runs)) == ran(records)
        slept = grid(self.step, stopped + 2 * SECOND, continued - self.grace)
        reported = spans(records)
        if misfire == "fire_all":
            slept = slept[:-101]
        assert all(any(begin <= fire <= until for _, begin, until in reported) for fire in slept), (
            "a miss is not reported"
        )


def sleep_through(
    place: Place, grids: list[Grid], *, at_least: timedelta, until: Callable[[datetime], bool]
) -> None:
    """Stop a runner with SIGSTOP past several fires of each grid and policy; continue
    it; check all.
    """
    for each in grids:
        for misfire in POLICIES:
            each.declare(place, misfire)
    runner = place.start()
    names = [f"{each.name}.{misfire}" for each in grids for misfire in POLICIES]
    longest_s = max(each.step for each in grids).total_seconds()

    def have_all_run_since(moment: datetime) -> bool:
        done = {
            record["request"]
            for record in place.events("execution.finished")
            if is_run_since(record, moment)
        }
        return done >= set(names)

    wait_until(
        lambda: have_all_run_since(EVER), within_s=longest_s + 90, what="a first run of each"
    )
    runner.send_signal(signal.SIGSTOP)
    stopped = datetime.now(UTC)
    wait_until(
        lambda: (now := datetime.now(UTC)) - stopped >= at_least and until(now),
        within_s=at_least.total_seconds() + 2 * longest_s + 90,
        what="the end of the pause",
    )
    continued = datetime.now(UTC)
    runner.send_signal(signal.SIGCONT)
    wait_until(
        lambda: have_all_run_since(continued),
        within_s=longest_s + 90,
        what="a run of each afterwards",
    )
    assert place.stop(runner) == 0, place.console()
    for each in grids:
        for misfire in POLICIES:
            each.check(place, misfire, stopped, continued)
    # A clock that advances while the runner is stopped has not stepped.
    assert recorded_steps(place) == []


def is_run_since(record: Record, moment: datetime) -> bool:
    return not is_missed(record) and at(record, "scheduled_for") >= moment


def part_of(now: datetime, seconds: int) -> float:
    """Return how far `now` is past the latest whole multiple of `seconds`."""
    return now.timestamp() % seconds


def test_a_runner_stopped_past_several_fires_gives_each_a_verdict(place: Place) -> None:
    """It continues 1.4 s after a fire of the two-second grid: beyond one grace, within
    the other.
    """
    every_second = {"frequency": "secondly"}
    every_other = {"frequency": "secondly", "interval": 2}
    cron = {"frequency": "cron", "expression": "*/2 * * * * *"}
    grids = [
        Grid(name="dense", schedule=every_second, step=SECOND, grace=3 * SECOND),
        Grid(name="strict", schedule=every_other, step=2 * SECOND, grace=SECOND),
        Grid(name="cron", schedule=cron, step=2 * SECOND, grace=SECOND),
    ]
    sleep_through(place, grids, at_least=4 * SECOND, until=lambda now: 1.4 <= part_of(now, 2) < 1.6)


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_campaign_of_a_runner_stopped_for_three_minutes(place: Place) -> None:
    """It resumes 40 s after a full minute: within a grace of 60 s, not of 20 s."""
    schedules = {
        "secondly": (SECOND, {"frequency": "secondly"}),
        "minutely": (MINUTE, {"frequency": "minutely"}),
        "cron": (MINUTE, {"frequency": "cron", "expression": "* * * * *"}),
        "cron-with-seconds": (15 * SECOND, {"frequency": "cron", "expression": "*/15 * * * * *"}),
    }
    grids = [
        Grid(name=f"{name}-{grace.seconds}s", schedule=schedule, step=step, grace=grace)
        for name, (step, schedule) in schedules.items()
        for grace in (20 * SECOND, MINUTE)
    ]
    sleep_through(
        place, grids, at_least=180 * SECOND, until=lambda now: 40 <= part_of(now, 60) < 45
    )


@pytest.mark.skipif(
    LIBRARY is None, reason="faketime is not installed (Debian: apt-get install faketime)"
)
def test_a_runner_whose_real_clock_is_set_forward_and_back_gives_each_fire_a_verdict(
    place: Place,
) -> None:
    clock = SetClock(place)
    secondly = {"frequency": "secondly"}
    cron = {"frequency": "cron", "expression": "* * * * * *"}
    for misfire in POLICIES:
        declare(place, f"interval-{misfire}", secondly, misfire=misfire)
        declare(place, f"cron-{misfire}", cron, misfire=misfire)
    names = [f"{kind}-{misfire}" for kind in ("interval", "cron") for misfire in POLICIES]
    runner = place.start()

    def have_run_since(moment: datetime, requests: list[str]) -> bool:
        done = {
            record["request"]
            for record in place.events("execution.finished")
            if is_run_since(record, moment)
        }
        return done >= set(requests)

    wait_until(lambda: have_run_since(EVER, names), within_s=90, what="a first run of each")
    clock.step(HOUR)
    forward = clock.now()
    wait_until(
        lambda: have_run_since(forward, names), within_s=120, what="a run after the step forward"
    )
    clock.step(-2 * HOUR)
    back = clock.now()
    wait_until(
        lambda: all(ran(place.finished(name, generation=2)) for name in names),
        within_s=90,
        what="a run of each after the step back",
    )
    assert place.stop(runner) == 0, place.console()
    assert [round(step / 3600) for step in recorded_steps(place)] == [1, -2]
    for name in names:
        check_verdicts(place.finished(name, generation=1), SECOND, name.rpartition("-")[2], MINUTE)
        again = ran(place.finished(name, generation=2))
        assert len(set(again)) == len(again)
        assert min(again) > back - 2 * SECOND
        assert spans(place.finished(name, generation=2)) == []
