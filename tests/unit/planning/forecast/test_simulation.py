"""Simulations of a catalog, compared with an enumeration of every single fire."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice, takewhile
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.planning_world import request_of

from runner.errors import UsageError
from runner.planning.fires.firing import delay_of
from runner.planning.forecast import simulation
from runner.planning.forecast.fire_sequences import fires_in
from runner.planning.forecast.simulation import Load, Rush, Simulation, simulate
from runner.planning.states.pauses import NO_PAUSES, Pause, Pauses
from runner.planning.states.state import RequestState
from runner.planning.transitions.presses import reschedule, unschedule
from runner.planning.transitions.registration import register
from runner.requests.model import (
    Context,
    ProcessRequest,
    Reference,
    RunImmediately,
    RunLater,
    Schedule,
)
from runner.timing.calendars import Dates
from runner.timing.parsing import parse_rule
from runner.timing.rules import Rule
from runner.timing.upcoming import fires

# A Thursday, not at a whole minute. In Madrid, clocks go back on Sunday the 25th.
BEGIN = datetime(2026, 10, 22, 17, 30, 5, tzinfo=UTC)
TICK = timedelta(microseconds=1)
SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)


def rule_of(zone: str = "Europe/Madrid", excepted: Iterable[date] = (), **data: Any) -> Rule:
    return parse_rule(data, default_zone=zone, excepted=Dates(days=frozenset(excepted)))


def every(
    seconds: int, name: str = "p", *, spread: timedelta = timedelta(), **fields: Any
) -> ProcessRequest:
    rule = rule_of(frequency="secondly", interval=seconds)
    return request_of(Schedule(rule=rule, spread=spread), name, **fields)


def simulated(
    *requests: ProcessRequest,
    length: timedelta = DAY,
    begin: datetime = BEGIN,
    lasting: dict[str, timedelta] | None = None,
    states: dict[str, RequestState] | None = None,
    max_running: int | None = None,
    pauses: Pauses = NO_PAUSES,
) -> Simulation:
    by_name = {request.name: request for request in requests}
    return simulate(
        by_name,
        states or {},
        lasting or {},
        begin=begin,
        end=begin + length,
        now=BEGIN,
        pauses=pauses,
        max_running=max_running,
    )


def load_of(report: Simulation, name: str = "p") -> Load:
    (found,) = [load for load in report.loads if load.request == name]
    return found


# --- random catalogs, followed fire by fire
# ------------------------------------------------

RULES = st.one_of(
    st.builds(
        lambda frequency, interval, start, excepted: rule_of(
            excepted=excepted,
            frequency=frequency,
            interval=interval,
            **({"start": start} if start else {}),
        ),
        st.sampled_from(["secondly", "minutely", "hourly"]),
        st.integers(7, 200),
        st.sampled_from([None, "2026-01-01T00:00:17Z", "2026-10-23 02:30:40", "2030-01-01"]),
        st.frozensets(st.dates(date(2026, 10, 22), date(2026, 10, 26)), max_size=2),
    ),
    st.builds(
        lambda at, finish: rule_of(
            frequency="daily", at=at, **({"finish": finish} if finish else {})
        ),
        st.lists(
            st.sampled_from(["00:00", "02:30", "02:45:30", "19:30", "23:59:59"]),
            min_size=1,
            max_size=3,
        ),
        st.sampled_from([None, "2026-10-24", "2031-01-01"]),
    ),
    st.builds(
        lambda expression: rule_of(frequency="cron", expression=expression),
        st.sampled_from(
            ["*/5 * * * *", "30 2 * * *", "15,45 */2 * * 1-5", "*/20 0 3 * * *", "10 */7 * * * *"]
        ),
    ),
    st.builds(
        lambda interval, repetitions: rule_of(
            frequency="minutely",
            interval=interval,
            repetitions=repetitions,
            start="2026-10-22 12:00:10",
        ),
        st.integers(1, 90),
        st.integers(0, 300),
    ),
)
SPREADS = st.sampled_from([timedelta(), 400 * SECOND / 1000, 90 * SECOND, HOUR])
SPANS = st.builds(lambda seconds: timedelta(seconds=seconds), st.integers(1, 4 * 86_400))
CATALOGS = st.lists(st.tuples(RULES, SPREADS, st.booleans()), min_size=1, max_size=5).map(
    lambda parts: [
        request_of(Schedule(rule=rule, spread=spread), f"p{index}", guarded=guarded)
        for index, (rule, spread, guarded) in enumerate(parts)
    ]
)


PAUSES = st.lists(
    st.builds(
        lambda begin, length, index: Pause(
            begin=BEGIN + timedelta(seconds=begin),
            end=None if length is None else BEGIN + timedelta(seconds=begin + length),
            reason="",
            by="",
            names=None if index is None else frozenset({f"p{index}"}),
        ),
        st.integers(-86_400, 3 * 86_400),
        st.one_of(st.none(), st.integers(1, 2 * 86_400)),
        st.one_of(st.none(), st.integers(0, 2)),
    ),
    max_size=2,
).map(lambda found: Pauses(known=tuple(sorted(found, key=lambda each: each.begin))))


def fires_of(request: ProcessRequest, begin: datetime, end: datetime) -> list[datetime]:
    assert isinstance(request.timing, Schedule)
    return list(takewhile(lambda fire: fire < end, fires(request.timing.rule, begin - TICK)))


def minute_of(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0)


@given(CATALOGS, SPANS, PAUSES)
@settings(max_examples=40)
def test_every_fire_that_no_pause_holds_is_counted_once_in_its_quarter_of_an_hour(
    requests: list[ProcessRequest], length: timedelta, pauses: Pauses
) -> None:
    report = simulated(*requests, length=length, pauses=pauses)
    counted = {load.request: load.fires for load in report.loads}
    enumerated = {
        request.name: [
            fire
            for fire in fires_of(request, BEGIN, BEGIN + length)
            if pauses.holding(request, fire + delay_of(request)) is None
        ]
        for request in requests
    }
    assert counted == {name: len(found) for name, found in enumerated.items() if found}
    assert report.fires == sum(counted.values()) == sum(report.quarters)

    starts = [fire + delay_of(request) for request in requests for fire in enumerated[request.name]]
    quarters = Counter((start - report.origin) // (15 * MINUTE) for start in starts)
    assert {index: number for index, number in enumerate(report.quarters) if number} == quarters


@given(CATALOGS, SPANS)
@settings(max_examples=40)
def test_the_busiest_minute_is_the_first_with_most_starts(
    requests: list[ProcessRequest], length: timedelta
) -> None:
    report = simulated(*requests, length=length)
    minutes = Counter(
        (minute_of(fire + delay_of(request)), request.name)
        for request in requests
        for fire in fires_of(request, BEGIN, BEGIN + length)
    )
    totals: Counter[datetime] = Counter()
    for (minute, _), number in minutes.items():
        totals[minute] += number
    if not totals:
        assert report.rush is None
        return
    most = max(totals.values())
    at = min(minute for minute, number in totals.items() if number == most)
    names = {name: number for (minute, name), number in minutes.items() if minute == at}
    ranked = tuple(sorted(names.items(), key=lambda each: (-each[1], each[0])))
    assert report.rush == Rush(at=at, starts=most, requests=ranked)


def test_a_one_time_fire_waits_for_the_end_of_a_pause() -> None:
    once = request_of(RunLater(start=BEGIN + HOUR, zone="UTC"), "once")

    def starts(pause: Pause) -> list[datetime]:
        report = simulated(once, pauses=Pauses(known=(pause,)))
        return [report.rush.at] if report.rush else []

    pause = Pause(begin=BEGIN - HOUR, end=BEGIN + 3 * HOUR, reason="", by="")
    assert starts(pause) == [minute_of(BEGIN + 3 * HOUR)]
    assert starts(replace(pause, end=BEGIN + 3 * DAY)) == []
    assert starts(replace(pause, end=None)) == []
    assert starts(replace(pause, end=BEGIN)) == [minute_of(BEGIN + HOUR)]


MOST_STARTS = 10_000
"""The number of fires that the oracle follows within a second or two."""


@dataclass
class Tally:
    """The counts of one request by the oracle."""

    overlapping: int = 0
    skipped: int = 0
    waiting: int = 0
    longest_wait: timedelta = timedelta()


def tallied(
    requests: list[ProcessRequest],
    lasting: dict[str, timedelta],
    length: timedelta,
    max_running: int | None,
) -> dict[str, Tally]:
    """Follow every start in order in the simplest way, with a list of all executions."""
    starts = sorted(
        (fire + delay_of(request), index)
        for index, request in enumerate(requests)
        for fire in fires_of(request, BEGIN, BEGIN + length)
    )
    tallies = {request.name: Tally() for request in requests}
    runs: list[tuple[datetime, datetime]] = []
    own: dict[str, list[datetime]] = {}
    previous: dict[str, datetime] = {}
    for at, index in starts:
        request = requests[index]
        name, tally = request.name, tallies[request.name]
        if request.process.prevent_concurrent:
            if any(end > at for end in own.get(request.process.name, [])):
                tally.skipped += 1
                tally.overlapping += 1
                continue
        elif name in previous and at < previous[name] + lasting[name]:
            tally.overlapping += 1
        previous[name] = at
        ends = sorted((end for _, end in runs if end > at), reverse=True)
        # A place is free once all but `max_running - 1` of the earlier executions have ended.
        begin = at if max_running is None or len(ends) < max_running else ends[max_running - 1]
        if begin > at:
            tally.waiting += 1
            tally.longest_wait = max(tally.longest_wait, begin - at)
        runs = [(began, end) for began, end in runs if end > at] + [(begin, begin + lasting[name])]
        own.setdefault(request.process.name, []).append(begin + lasting[name])
    return tallies


@given(CATALOGS, st.sampled_from([HOUR, 7 * HOUR]), st.data())
@settings(max_examples=40)
def test_overlaps_skips_and_waits_match_an_enumeration_of_every_fire(
    requests: list[ProcessRequest], length: timedelta, data: st.DataObject
) -> None:
    durations = st.sampled_from([timedelta(), SECOND, 7 * SECOND, 9 * MINUTE + SECOND, 2 * HOUR])
    lasting = {request.name: data.draw(durations) for request in requests}
    max_running = data.draw(st.sampled_from([None, 1, 2, 5]))
    if data.draw(st.booleans()) and len(requests) > 1:
        shared = replace(requests[0].process, prevent_concurrent=True)
        requests = [replace(request, process=shared) for request in requests]
    assume(sum(len(fires_of(request, BEGIN, BEGIN + length)) for request in requests) < MOST_STARTS)
    report = simulated(*requests, length=length, lasting=lasting, max_running=max_running)
    reported = {
        load.request: Tally(load.overlapping, load.skipped, load.waiting, load.longest_wait)
        for load in report.loads
    }
    expected = tallied(requests, lasting, length, max_running)
    assert reported == {name: tally for name, tally in expected.items() if name in reported}


# --- single cases
# --------------------------------------------------------------------------------------


def test_a_week_of_every_second_is_one_range() -> None:
    found = fires_in(rule_of(frequency="secondly"), BEGIN, BEGIN + 7 * DAY)
    assert found.sequences == (
        range(found.sequences[0][0], found.sequences[0][0] + 604_800_000_000, 1_000_000),
    )
    assert found.count == 604_800


def test_excepted_dates_cut_an_interval() -> None:
    rule = rule_of(frequency="hourly", excepted=[date(2026, 10, 23), date(2026, 10, 25)])
    found = fires_in(rule, BEGIN, BEGIN + 7 * DAY)
    assert list(map(len, found.sequences)) == [4, 24, 91]
    assert found.shortest_gap == HOUR // TICK


def test_the_span_includes_its_begin_and_not_its_end() -> None:
    report = simulated(every(3600), begin=BEGIN.replace(minute=0, second=0), length=2 * HOUR)
    assert report.fires == 2


def test_requests_are_listed_the_most_often_first() -> None:
    report = simulated(every(60, "b"), every(60, "a"), every(1, "c"), request_of(None, "d"))
    assert [load.request for load in report.loads] == ["c", "a", "b"]
    assert all(load.duration is None for load in report.loads)


def test_an_unscheduled_request_does_not_fire() -> None:
    request = every(60)
    state = unschedule(register(request, None, BEGIN).state, BEGIN, by="maria").state
    report = simulated(request, states={"p": state})
    assert (report.fires, report.loads, report.rush) == (0, (), None)
    assert sum(report.quarters) == 0
    assert simulated(replace(request, scheduled=False)).fires == 0


def test_one_time_requests_fire_once() -> None:
    later = request_of(RunLater(start=BEGIN + 2 * HOUR, zone="UTC"), "later")
    past = request_of(RunLater(start=BEGIN - HOUR, zone="UTC"), "past")
    report = simulated(later, past, request_of(RunImmediately(), "now"))
    assert {load.request: load.fires for load in report.loads} == {"later": 1, "now": 1}
    assert simulated(later, length=2 * HOUR).fires == 0


def test_repetitions_count_from_a_reschedule() -> None:
    rule = rule_of(frequency="hourly", repetitions=3, start="2026-01-01")
    request = request_of(Schedule(rule=rule))
    assert simulated(request).fires == 0
    state = reschedule(request, register(request, None, BEGIN).state, BEGIN, by="maria").state
    assert simulated(request, states={"p": state}).fires == 4


def test_the_past_can_be_simulated_too() -> None:
    request = request_of(Schedule(rule=rule_of(frequency="daily", at="02:00")))
    state = register(request, None, BEGIN).state
    assert (
        simulated(request, states={"p": state}, begin=BEGIN - 30 * DAY, length=30 * DAY).fires == 30
    )


def test_requests_that_share_a_guard_refuse_each_other() -> None:
    one, other = every(3600, "one", guarded=True), every(3600, "other", guarded=True)
    reference = replace(other, process=replace(other.process, action=Reference(request="one")))
    report = simulated(one, reference, length=24 * HOUR, lasting={"one": MINUTE, "other": MINUTE})
    assert sum(load.skipped for load in report.loads) == 24
    elsewhere = replace(reference, context=Context(organization="north"))
    report = simulated(one, elsewhere, length=24 * HOUR, lasting={"one": MINUTE, "other": MINUTE})
    assert sum(load.skipped for load in report.loads) == 0


def test_a_reference_cycle_ends() -> None:
    looping = every(60)
    looping = replace(looping, process=replace(looping.process, action=Reference(request="p")))
    assert simulated(looping, length=HOUR).fires == 60


def test_a_repeated_hour_counts_as_one_and_a_day_as_25_hours() -> None:
    report = simulated(every(60), begin=datetime(2026, 10, 24, 22, tzinfo=UTC), length=25 * HOUR)
    assert report.by_day_and_hour(ZoneInfo("Europe/Madrid")) == {
        date(2026, 10, 25): [60, 60, 120] + [60] * 21,
    }


def test_hours_are_those_of_a_zone_with_a_half_hour() -> None:
    report = simulated(every(60), begin=datetime(2026, 10, 24, 18, 30, tzinfo=UTC), length=HOUR)
    assert report.by_day_and_hour(ZoneInfo("Asia/Kolkata")) == {date(2026, 10, 25): [60] + [0] * 23}


def test_a_day_after_the_span_is_listed_only_if_something_starts_in_it() -> None:
    hourly, begin = every(3600, spread=HOUR), datetime(2026, 10, 25, 23, tzinfo=UTC)
    delay = delay_of(hourly)
    assert 20 * MINUTE < delay < HOUR, "or it shows nothing"
    madrid = ZoneInfo("Europe/Madrid")
    assert list(simulated(hourly, begin=begin, length=DAY - TICK).by_day_and_hour(madrid)) == [
        date(2026, 10, 26)
    ]
    late = simulated(hourly, begin=begin, length=DAY - HOUR + TICK + delay).by_day_and_hour(madrid)
    assert list(late) == [date(2026, 10, 26)]
    minutely = simulated(every(60, spread=HOUR), begin=begin, length=DAY).by_day_and_hour(madrid)
    assert [sum(hours) > 0 for hours in minutely.values()] == [True, True]


def test_a_start_that_spread_delays_past_the_end_is_counted() -> None:
    report = simulated(every(60, spread=HOUR), length=10 * MINUTE)
    delay = delay_of(every(60, spread=HOUR))
    assert delay > 20 * MINUTE, "or it shows nothing"
    assert (report.fires, sum(report.quarters)) == (10, 10)
    assert report.rush is not None
    assert report.rush.at >= BEGIN + delay - MINUTE


@pytest.mark.parametrize("length", [timedelta(), -DAY, 367 * DAY])
def test_a_span_that_is_empty_or_too_long_is_refused(length: timedelta) -> None:
    with pytest.raises(UsageError, match="the span is"):
        simulated(every(60), length=length)


def test_too_many_fires_are_not_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "MOST_QUEUED", 100)
    assert simulated(every(60), length=100 * MINUTE, max_running=1).fires == 100
    with pytest.raises(UsageError, match="101 fires are too many to queue one by one"):
        simulated(every(60), length=101 * MINUTE, max_running=1)


# --- scale
# --------------------------------------------------------------------------------------


def catalog(count: int) -> dict[str, ProcessRequest]:
    """Return a catalog with requests of every kind."""
    schedules: list[dict[str, Any]] = [
        {"frequency": "secondly", "interval": 7},
        {"frequency": "minutely", "interval": 1, "start": "2026-01-01 00:00:30"},
        {"frequency": "minutely", "interval": 5},
        {"frequency": "minutely", "interval": 90},
        {"frequency": "hourly"},
        {"frequency": "daily", "at": "02:00"},
        {"frequency": "daily", "at": ["09:30", "17:30"], "days": "weekdays"},
        {"frequency": "monthly", "day": "last_workday", "at": "18:00"},
        {"frequency": "cron", "expression": "*/5 * * * *"},
        {"frequency": "cron", "expression": "*/15 8-18 * * 1-5"},
    ]
    made = {}
    for index in range(count):
        rule, spread = (
            rule_of(**schedules[index % 10]),
            5 * MINUTE if index % 3 == 0 else timedelta(),
        )
        made[f"p{index}"] = request_of(
            Schedule(rule=rule, spread=spread), f"p{index}", guarded=index % 2 == 0
        )
    return made


@pytest.mark.benchmark
def test_a_week_of_10_000_requests_takes_seconds() -> None:
    requests = catalog(10_000)
    lasting = dict.fromkeys(islice(requests, 5_000), 20 * SECOND)
    begun = time.process_time()
    report = simulate(requests, {}, lasting, begin=BEGIN, end=BEGIN + 7 * DAY, now=BEGIN)
    took = time.process_time() - begun
    print(f"\nsimulate: a week of 10,000 requests, {report.fires:,} fires, in {took:.2f} s")
    assert took < 10
