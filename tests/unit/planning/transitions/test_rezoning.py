"""After new zone data: no false miss, no double fire, no lost fire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from importlib.resources import files

from hypothesis import example, given
from hypothesis import strategies as st
from support.planning_world import NOON, request_of, seen

from runner.lifecycle import Misfire, RequestStatus
from runner.planning.fires.firing import pending_fire, settle
from runner.planning.fires.planned_status import RequestChange
from runner.planning.states.state import RequestState
from runner.planning.transitions.rezoning import known_fires, rezoned
from runner.requests.model import ProcessRequest, RunLater, Schedule
from runner.timing.calendars import Dates
from runner.timing.parsing import parse_rule
from runner.timing.upcoming import fires, next_fire
from runner.timing.zones import changed_zone_data, parse_wall, use_zone_data, wall_at, zone_named

CITY = "Test/City"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Build = Callable[[], ProcessRequest]


def put_clocks(hours: int) -> None:
    """Set the clocks of Test/City so many hours ahead of UTC; Etc/GMT reverses the sign."""
    name = f"GMT-{hours}" if hours >= 0 else f"GMT+{-hours}"
    use_zone_data({CITY: files("tzdata.zoneinfo.Etc").joinpath(name).read_bytes()})


def daily(*at: str) -> ProcessRequest:
    data = {"frequency": "daily", "at": list(at)}
    return request_of(Schedule(rule=parse_rule(data, default_zone=CITY), misfire=Misfire.FIRE_ALL))


def cron(expression: str) -> ProcessRequest:
    data = {"frequency": "cron", "expression": expression}
    return request_of(Schedule(rule=parse_rule(data, default_zone=CITY), misfire=Misfire.FIRE_ALL))


def later(start: str) -> ProcessRequest:
    instant = parse_wall(start, zone_named(CITY), field=())
    return request_of(RunLater(start=instant, zone=CITY, misfire=Misfire.FIRE_ONCE))


def moved(
    build: Build, state: RequestState, now: datetime, hours: int
) -> tuple[ProcessRequest, RequestState]:
    """Settle what is due at `now` by the former clocks, and change to the new ones."""
    former = build()
    before = known_fires(former, state := settle(former, state, now).state)
    put_clocks(hours)
    request = build()
    registration = rezoned(before, request, state, now)
    assert registration.miss is None
    return request, registration.state


def test_cached_results_do_not_outlive_their_zone_data() -> None:
    put_clocks(3)
    rule = parse_rule({"frequency": "daily", "at": "02:00"}, default_zone=CITY)
    dates = parse_rule(
        {"frequency": "hourly"},
        default_zone=CITY,
        excepted=Dates(days=frozenset({NOON.date() + DAY})),
    )
    counted = parse_rule(
        {"frequency": "daily", "start": "2026-03-02 02:00", "repetitions": 2}, default_zone=CITY
    )
    midnight = NOON.replace(hour=0) + DAY
    assert next_fire(rule, NOON) == midnight - HOUR
    assert next_fire(dates, midnight - 4 * HOUR) == midnight + 21 * HOUR
    last = [*fires(counted, NOON)][-1]
    put_clocks(4)
    assert next_fire(rule, NOON) == midnight - 2 * HOUR
    assert next_fire(dates, midnight - 5 * HOUR) == midnight + 20 * HOUR
    assert [*fires(counted, NOON)][
        -1
    ] == last + 23 * HOUR  # its start stays the instant that was read


def test_zone_data_that_vanished_from_the_disk_stays_in_use() -> None:
    put_clocks(3)
    assert CITY not in changed_zone_data()
    assert zone_named(CITY).utcoffset(NOON) == 3 * HOUR
    use_zone_data({CITY: b"TZif2 is not enough"})
    assert zone_named(CITY).utcoffset(NOON) == 3 * HOUR


def test_a_run_later_that_has_run_does_not_run_at_its_new_time() -> None:
    put_clocks(3)
    _, state = moved(
        lambda: later("2026-03-01 15:30"), seen(later("2026-03-01 15:30")), NOON + HOUR, 1
    )
    assert state.status is RequestStatus.COMPLETE
    assert pending_fire(later("2026-03-01 15:30"), state) is None


def test_a_run_later_that_new_zone_data_puts_into_the_past_is_recorded_as_missed() -> None:
    put_clocks(3)
    request = later("2026-03-01 15:30")
    state = seen(request)
    before = known_fires(request, state)
    put_clocks(4)
    registration = rezoned(before, later("2026-03-01 15:30"), state, NOON)
    assert registration.miss is not None
    assert (registration.state.status, registration.change) == (
        RequestStatus.COMPLETE,
        RequestChange.COMPLETED,
    )


def test_a_schedule_that_the_change_does_not_move_keeps_its_state() -> None:
    put_clocks(3)
    hourly = request_of(Schedule(rule=parse_rule({"frequency": "hourly"}, default_zone=CITY)))
    state = seen(hourly)
    assert moved(lambda: hourly, state, NOON, 4)[1] == state


CLOCKS = st.integers(-3, 3)
TIMES = st.lists(st.integers(0, 95), min_size=1, max_size=4, unique=True).map(
    lambda quarters: tuple(f"{each // 4:02}:{each % 4 * 15:02}" for each in quarters)
)


@given(TIMES, CLOCKS, CLOCKS, st.integers(0, 60))
@example(("12:00",), 0, -1, 0)  # registered at the very instant of a fire
def test_each_time_of_day_fires_at_most_once_on_each_day_and_never_for_the_past(
    times: tuple[str, ...], former: int, new: int, hours: int
) -> None:
    put_clocks(former)
    state, ran = seen(daily(*times)), []
    change = NOON + hours * HOUR
    for number in range(hours + 1):
        settled = settle(daily(*times), state, NOON + number * HOUR)
        ran += [wall_at(fire, zone_named(CITY)) for fire in settled.claims]
        state = settled.state
    request, state = moved(lambda: daily(*times), state, change, new)
    settled = settle(request, state, change + 3 * DAY)
    assert settled.miss is None
    assert all(fire > change for fire in settled.claims)
    walls = ran + [wall_at(fire, zone_named(CITY)) for fire in settled.claims]
    assert len(set(walls)) == len(walls)
    coming = _by_hand(times, new, change)
    # What lies between the first and the last that ran, by the wall, has no second chance.
    assert set(settled.claims) == {
        fire for fire in coming if not ran or wall_at(fire, zone_named(CITY)) > ran[-1]
    }


def _by_hand(times: tuple[str, ...], clocks: int, change: datetime) -> list[datetime]:
    midnight = change.replace(hour=0, minute=0) - clocks * HOUR
    clocked = [timedelta(hours=int(each[:2]), minutes=int(each[3:])) for each in times]
    found = [midnight + number * DAY + clock for number in range(-1, 6) for clock in clocked]
    return [fire for fire in found if change < fire <= change + 3 * DAY]


def test_a_rule_that_follows_the_wall_clock_continues_at_once() -> None:
    put_clocks(3)
    state = seen(cron("*/10 * * * *"))
    request, state = moved(lambda: cron("*/10 * * * *"), state, NOON + 25 * HOUR / 60, 2)
    assert pending_fire(request, state) == NOON + 30 * HOUR / 60
