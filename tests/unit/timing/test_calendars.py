"""Business calendars: `except`, `only`, `shift` and workdays, against brute force over dates."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise, takewhile
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.calendar_oracle import MEANINGS, TICK, Case, holds, midnight
from support.effort import effort_of

from runner.timing.calendars import Dates, Shift, union
from runner.timing.moves import destination, names, origins
from runner.timing.parsing import parse_rule
from runner.timing.rules import (
    Cron,
    Daily,
    DayNumber,
    Interval,
    LastDay,
    MonthDay,
    Monthly,
    NthWeekday,
    NthWorkday,
    Pattern,
    Rule,
    Weekly,
)
from runner.timing.upcoming import fires, next_fire, span

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
MADRID = "Europe/Madrid"


# --- worked out by hand
# The public holidays of Madrid, as the library `holidays` gives them for ES-MD.
HOLIDAYS_OF_MADRID = [
    "2026-01-01", "2026-01-06", "2026-04-02", "2026-04-03", "2026-05-01", "2026-05-02",
    "2026-08-15", "2026-10-12", "2026-11-02", "2026-12-07", "2026-12-08", "2026-12-25",
    "2027-01-01", "2027-01-06", "2027-03-19", "2027-03-25", "2027-03-26", "2027-05-01",
    "2027-05-03", "2027-10-12", "2027-11-01", "2027-12-06", "2027-12-08", "2027-12-25",
]  # fmt: skip
HOLIDAYS = Dates(days=frozenset(map(date.fromisoformat, HOLIDAYS_OF_MADRID)))


def shown(count: int, since: str, excepted: Dates = HOLIDAYS, **schedule: object) -> list[str]:
    """Return the next fires of a schedule as wall times of Madrid, with their weekday."""
    rule = parse_rule({"at": "18:00", **schedule}, default_zone=MADRID, excepted=excepted)
    found = islice(fires(rule, datetime.fromisoformat(since).replace(tzinfo=UTC)), count)
    return [f"{fire.astimezone(ZoneInfo(MADRID)):%a %Y-%m-%d}" for fire in found]


def test_the_last_workday_of_a_month_is_no_holiday() -> None:
    # Thursday 31 December 2026 is a workday. Friday 1 May 2026 and Saturday 2 May are not.
    found = shown(12, "2026-01-01", frequency="monthly", day="last_workday")
    assert found == [
        "Fri 2026-01-30", "Fri 2026-02-27", "Tue 2026-03-31", "Thu 2026-04-30", "Fri 2026-05-29",
        "Tue 2026-06-30", "Fri 2026-07-31", "Mon 2026-08-31", "Wed 2026-09-30", "Fri 2026-10-30",
        "Mon 2026-11-30", "Thu 2026-12-31",
    ]  # fmt: skip
    eve = union([HOLIDAYS, Dates(days=frozenset({date(2026, 12, 31)}))])
    assert shown(1, "2026-12-01", eve, frequency="monthly", day="last_workday") == [
        "Wed 2026-12-30"
    ]


def test_in_2027_the_months_close_on_these_workdays() -> None:
    # Good Friday is 26 March, so March still ends on a Wednesday; 31 October is a Sunday.
    found = shown(5, "2027-03-01", frequency="monthly", day="last_workday")
    assert found == [
        "Wed 2027-03-31", "Fri 2027-04-30", "Mon 2027-05-31", "Wed 2027-06-30", "Fri 2027-07-30",
    ]  # fmt: skip
    # Saturday 1 May is a holiday, and so is Monday 3 May instead of Sunday 2 May.
    assert shown(1, "2027-05-01", frequency="monthly", day="first_workday") == ["Tue 2027-05-04"]
    assert shown(1, "2027-04-30", frequency="monthly", day=1, shift="next_workday") == [
        "Tue 2027-05-04"
    ]


def test_the_first_and_the_third_workday_of_a_month_skip_holidays() -> None:
    # January 2027: Friday 1 and Wednesday 6 are holidays, so the workdays are 4, 5, 7, 8.
    assert shown(2, "2027-01-01", frequency="monthly", day="first_workday") == [
        "Mon 2027-01-04",
        "Mon 2027-02-01",
    ]
    assert shown(2, "2027-01-01", frequency="monthly", day="third workday") == [
        "Thu 2027-01-07",
        "Wed 2027-02-03",
    ]
    # December 2026 ends with Monday 28 to Thursday 31, and Friday 25 is a holiday.
    assert shown(1, "2026-12-01", frequency="monthly", day="fifth last workday") == [
        "Thu 2026-12-24"
    ]


def test_workdays_are_monday_to_friday_without_the_holidays() -> None:
    assert shown(6, "2026-12-04", frequency="daily", days="workdays") == [
        "Fri 2026-12-04", "Wed 2026-12-09", "Thu 2026-12-10", "Fri 2026-12-11", "Mon 2026-12-14",
        "Tue 2026-12-15",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        # 1 January 2027 is a Friday, 6 January a Wednesday.
        ("drop", []),
        ("next", ["Sat 2027-01-02"]),
        ("previous", ["Thu 2026-12-31"]),
        ("next_workday", ["Mon 2027-01-04"]),
        ("previous_workday", ["Thu 2026-12-31"]),
    ],
)
def test_a_fire_on_new_year_is_dropped_or_moves(shift: str, expected: list[str]) -> None:
    found = shown(1, "2026-12-30", frequency="monthly", day=1, shift=shift, finish="2027-01-31")
    assert found == expected


def test_a_shift_to_workdays_moves_away_from_weekends_too() -> None:
    # The 15th: Saturday 15 August 2026 is also a holiday, 15 November 2026 a Sunday.
    found = shown(5, "2026-07-01", frequency="monthly", day=15, shift="next_workday")
    assert found == [
        "Wed 2026-07-15", "Mon 2026-08-17", "Tue 2026-09-15", "Thu 2026-10-15", "Mon 2026-11-16",
    ]  # fmt: skip
    found = shown(2, "2026-08-01", frequency="monthly", day=15, shift="previous")
    assert found == ["Fri 2026-08-14", "Tue 2026-09-15"]


def test_fires_that_meet_become_one_and_count_singly() -> None:
    # Monday 7 and Tuesday 8 December 2026 are holidays: both move to Wednesday 9.
    def found(repetitions: int) -> list[str]:
        return shown(
            9, "2026-12-01", frequency="daily", days="weekdays", shift="next",
            start="2026-12-04", repetitions=repetitions,
        )  # fmt: skip

    friday, wednesday, thursday = "Fri 2026-12-04", "Wed 2026-12-09", "Thu 2026-12-10"
    assert found(0) == [friday]
    assert found(1) == found(2) == found(3) == [friday, wednesday]
    assert found(4) == [friday, wednesday, thursday]


def test_start_and_finish_bound_a_fire_where_it_moved_to() -> None:
    at_new_year: dict[str, Any] = {"frequency": "monthly", "day": 1}
    assert shown(
        1, "2026-12-01", **at_new_year, shift="previous", start="2026-12-15", finish="2026-12-31"
    ) == ["Thu 2026-12-31"]
    assert shown(1, "2026-12-01", **at_new_year, shift="next", start="2027-01-02") == [
        "Sat 2027-01-02"
    ]
    assert shown(1, "2026-12-01", **at_new_year, shift="previous", start="2027-01-01") == [
        "Mon 2027-02-01"
    ]


def test_a_fire_moves_at_most_366_days() -> None:
    def found(until: str) -> list[str]:
        first, last = date(2026, 1, 1), date.fromisoformat(until)
        closed = frozenset(first + n * DAY for n in range((last - first).days + 1))
        return shown(
            1, "2026-01-01", Dates(days=closed), frequency="monthly", day=1, interval=12,
            shift="next", finish="2027-12-31",
        )  # fmt: skip

    assert found("2027-01-01") == ["Sat 2027-01-02"], "1 January 2026 and 2027 meet there"
    assert found("2027-01-02") == ["Sun 2027-01-03"], "only that of 2027 gets there"


def test_a_fire_says_where_it_came_from() -> None:
    data = {"frequency": "monthly", "day": 1, "at": "18:00", "shift": "next_workday"}
    rule = parse_rule(data, default_zone=MADRID, excepted=HOLIDAYS)
    at = datetime(2027, 1, 4, 17, tzinfo=UTC)
    assert origins(rule, at) == (date(2027, 1, 1),)
    assert destination(rule, datetime(2027, 1, 1, 17, tzinfo=UTC)) == at
    assert origins(rule, datetime(2026, 12, 1, 17, tzinfo=UTC)) == (), "it did not move"


# --- against the oracle

ZONES = [
    "UTC", MADRID, "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Pacific/Apia",
    "America/St_Johns", "America/Santiago", "Asia/Kathmandu",
]  # fmt: skip
# A zone, and a day near which something unusual happens.
MIDDLES = {
    "Pacific/Apia": ["2011-12-30", "2012-04-01"],
    "America/St_Johns": ["2010-11-07", "2010-03-14"],
    "Africa/Cairo": ["2026-04-24", "2026-10-30"],
    "Australia/Lord_Howe": ["2026-10-04", "2026-04-05"],
    "America/Santiago": ["2026-09-06", "2026-04-05"],
    "America/New_York": ["2026-03-08", "2026-11-01"],
    MADRID: ["2026-03-29", "2026-10-25", "2026-12-25"],
}


def some_of(chance: Random, values: Sequence[date], most: int) -> frozenset[date]:
    return frozenset(chance.choice(values) for _ in range(chance.randrange(most + 1)))


def some_dates(chance: Random, days: Sequence[date], most: int) -> Dates:
    """Draw single dates, perhaps a run of them (at times longer than a year), and yearly ones."""
    runs: list[date] = []
    if chance.randrange(3) == 0:
        begin = chance.choice(days) - chance.randrange(4) * DAY
        length = chance.choice((2, 2, 3, 3, 5, 5, 9, 9, chance.randrange(360, 375)))
        runs = [begin + number * DAY for number in range(length)]
    yearly = some_of(chance, days, 3) if chance.randrange(3) == 0 else frozenset()
    return Dates(
        days=some_of(chance, days, most) | frozenset(runs),
        yearly=frozenset((day.month, day.day) for day in yearly),
    )


def every(unit_s: int) -> Callable[[Random], Interval]:
    return lambda chance: Interval(seconds=unit_s * chance.choice((1, 5, 7, 12, 24, 25)))


def daily(chance: Random) -> Daily:
    return chance.choice(
        (
            Daily(interval=1 + chance.randrange(4)),
            Daily(weekdays=frozenset(chance.sample(range(7), 1 + chance.randrange(5)))),
            Daily(weekdays=frozenset(range(5)), workdays=True),
        )
    )


def weekly(chance: Random) -> Weekly:
    weekdays = frozenset(chance.sample(range(7), 1 + chance.randrange(4)))
    return Weekly(weekdays=weekdays, interval=1 + chance.randrange(3))


def monthly(chance: Random) -> Monthly:
    day: MonthDay = chance.choice(
        (
            DayNumber(number=1 + chance.randrange(31)),
            LastDay(),
            NthWorkday(nth=chance.choice((1, 2, 3, 10, -1, -2, -3, -10))),
            NthWeekday(nth=chance.choice((1, 2, 5, -1)), weekday=chance.randrange(7)),
        )
    )
    return Monthly(day=day, interval=chance.choice((1, 1, 2)))


PATTERNS: dict[str, Callable[[Random], Pattern]] = {
    "secondly": lambda chance: Interval(
        seconds=chance.choice((1007, 3607, 7211, 21601, 43207, 86399, 86413))
    ),
    "minutely": every(60 * 11),
    "hourly": every(3600),
    "daily": daily,
    "weekly": weekly,
    "monthly": monthly,
    "cron": lambda chance: Cron(expression=chance.choice(list(MEANINGS))),
}
LENGTHS = {"daily": 40, "weekly": 60, "monthly": 200}
TIMES = [time(0), time(0, 15), time(2, 30), time(9), time(23, 45)]


def middle_of(chance: Random, zone: str) -> date:
    known = MIDDLES.get(zone)
    if known and chance.randrange(2):
        return date.fromisoformat(chance.choice(known))
    return date(2024, 1, 1) + chance.randrange(1500) * DAY


def case_of(chance: Random, frequency: str) -> Case:
    zone = chance.choice(ZONES)
    length = LENGTHS.get(frequency, 12)
    first = middle_of(chance, zone) - chance.randrange(length) * DAY
    last = first + length * DAY
    days = [first + number * DAY for number in range(length + 1)]
    begin, end = midnight(first, zone), midnight(last + DAY, zone)

    def moment() -> datetime:
        minutes = chance.randrange((end - begin) // MINUTE)
        return begin + minutes * MINUTE + chance.choice((0, 0, 1)) * TICK

    pattern = PATTERNS[frequency](chance)
    start = moment().replace(microsecond=0) if chance.randrange(2) else None
    rule = Rule(
        pattern=pattern,
        zone=zone,
        at=()
        if isinstance(pattern, Interval | Cron)
        else tuple(sorted(set(chance.sample(TIMES, 1 + chance.randrange(3))))),
        start=start,
        finish=moment() if chance.randrange(3) == 0 else None,
        repetitions=chance.randrange(30) if start and chance.randrange(2) else None,
        excepted=some_dates(chance, days, 8) if chance.randrange(5) else Dates(),
        only=some_dates(chance, days, 20) if chance.randrange(4) == 0 else None,
        shift=chance.choice(list(Shift)),
    )
    early, late = sorted((moment(), moment()))
    return Case(rule=rule, first=first, last=last, asked=(early, late))


def check(case: Case) -> None:
    rule, (after, until) = case.rule, case.asked
    begin = midnight(case.first, rule.zone) - TICK
    end = midnight(case.last + DAY, rule.zone) - TICK
    expected = [fire for fire in case.expected() if begin < fire <= end]

    found = list(takewhile(lambda fire: fire <= end, fires(rule, begin)))
    assert found == expected
    assert all(one < other for one, other in pairwise(found)), "strictly ascending"

    later = [fire for fire in expected if fire > after]
    coming = next_fire(rule, after)
    assert later[:1] == [coming] if later else coming is None or coming > end
    within = [fire for fire in later if fire <= until]
    summary = span(rule, after, until, keep=3)
    assert (summary.count, summary.latest) == (len(within), tuple(within[-3:]))


def check_laws(case: Case, most: int) -> None:
    """Check what holds of any calendar, for the first `most` fires of the pattern."""
    zone = ZoneInfo(case.rule.zone)
    begin = midnight(case.first, case.rule.zone)
    end = midnight(case.last + DAY, case.rule.zone)
    rule = replace(case.rule, start=None, finish=None, repetitions=None)
    for fire in islice(takewhile(lambda fire: fire < end, fires(rule, begin - TICK)), most):
        assert not holds(rule.excepted, fire.astimezone(zone).date()), "never on an excepted date"
    if not rule.moves:
        return
    targets = []
    named = takewhile(lambda fire: fire < end, fires(rule.by_pattern, begin - TICK))
    for fire in islice(named, most):
        day = fire.astimezone(zone).date()
        if rule.only is not None and not holds(rule.only, day):
            continue
        target = destination(rule, fire)
        assert (target is None) == (day.toordinal() not in case.targets), "dropped if none is free"
        if target is not None:
            assert next_fire(rule, target - TICK) == target, "a shift loses no fire"
            targets.append(target.astimezone(zone).date())
            if target != fire and not names(rule, target):
                assert day in origins(rule, target), "a moved fire says where it came from"
    assert targets == sorted(targets), "monotone"


@st.composite
def cases(draw: st.DrawFn, frequency: str) -> Case:
    return case_of(draw(st.randoms(use_true_random=False)), frequency)


@pytest.mark.parametrize("frequency", PATTERNS)
def test_a_calendar_drops_keeps_and_moves_as_brute_force_says(frequency: str) -> None:
    @given(cases(frequency))
    @settings(max_examples=100)
    def judged(case: Case) -> None:
        check(case)

    judged()


@pytest.mark.parametrize("frequency", ["daily", "weekly", "monthly"])
def test_a_shift_loses_no_fire_and_keeps_their_order(frequency: str) -> None:
    @given(cases(frequency))
    @settings(max_examples=60)
    def judged(case: Case) -> None:
        check_laws(case, 500)

    judged()


def test_fires_between_two_midnights_of_a_date_belong_to_the_date_before() -> None:
    # In St. John's the clocks went back at 00:01 on 7 November 2010, to 23:01 on the 6th.
    rule = Rule(pattern=Interval(seconds=3600), zone="America/St_Johns")
    day = date(2010, 11, 7)
    asked = midnight(day, rule.zone), midnight(day + DAY, rule.zone)
    check(Case(rule=rule, first=day, last=day, asked=asked))
    excepted = replace(rule, excepted=Dates(days=frozenset({day - DAY})))
    check(Case(rule=excepted, first=day, last=day, asked=asked))


def test_a_date_that_a_zone_skipped_takes_no_part_in_the_moves() -> None:
    # Apia had no Friday 30 December 2011, so Saturday and Sunday move to Thursday 29.
    start = datetime(2011, 12, 18, 19, 51, tzinfo=UTC)
    rule = Rule(
        pattern=Weekly(weekdays=frozenset({3, 4, 5, 6})),
        zone="Pacific/Apia",
        at=(time(0), time(2, 30)),
        start=start,
        repetitions=23,
        shift=Shift.PREVIOUS_WORKDAY,
    )
    first, last = date(2011, 12, 18), date(2012, 2, 16)
    case = Case(rule=rule, first=first, last=last, asked=(start, start + 20 * DAY))
    check(case)
    for shift in Shift:
        moved = replace(rule, shift=shift, excepted=Dates(days=frozenset({date(2011, 12, 31)})))
        check(replace(case, rule=moved))


@pytest.mark.campaign
@pytest.mark.timeout(0)
@pytest.mark.parametrize("frequency", PATTERNS)
def test_calendars_in_every_zone_are_as_brute_force_says(frequency: str) -> None:
    """Run RUNNER_EXAMPLES examples from RUNNER_SEED."""
    examples = int(os.environ.get("RUNNER_EXAMPLES", "100000"))
    seed = f"{os.environ.get('RUNNER_SEED', '1')} {frequency}"
    for number in range(examples):
        case = case_of(Random(f"{seed} {number}"), frequency)
        try:
            check(case)
            if number % 10 == 0:
                check_laws(case, 30)
        except Exception as error:
            error.add_note(f"example {number} of seed {seed!r}: {case!r}")
            raise


@given(
    days=st.frozensets(st.dates(date(2024, 1, 1), date(2026, 1, 1)), max_size=20),
    yearly=st.frozensets(
        st.sampled_from([(2, 29), (1, 1), (12, 31), (12, 25), (2, 28)]), max_size=3
    ),
    since=st.dates(date(2023, 1, 1), date(2027, 1, 1)),
)
@example(days=frozenset(), yearly=frozenset({(2, 29)}), since=date(2096, 3, 1))
def test_the_next_of_some_dates_is_the_first_that_they_hold(
    days: frozenset[date], yearly: frozenset[tuple[int, int]], since: date
) -> None:
    dates = Dates(days=days, yearly=yearly)
    walked = (since + number * DAY for number in range(8 * 366))
    assert dates.next_from(since) == next((day for day in walked if holds(dates, day)), None)


ALL_YEAR = Dates(
    yearly=frozenset((month, day) for month in range(1, 13) for day in range(1, 32))
    - {(2, 30), (2, 31), (4, 31), (6, 31), (9, 31), (11, 31)}
)
CHRISTMAS = Dates(yearly=frozenset({(12, 25)}))
MARCH = Dates(yearly=frozenset({(3, 31)}))


@pytest.mark.parametrize(
    ("expression", "shift", "excepted", "only", "count"),
    [
        # On none of the blocked dates are there fires that could move.
        ("*/30 9-17 * * 1-5", Shift.NEXT_WORKDAY, Dates(), None, 20),
        ("*/30 9-17 * * 1-5", Shift.PREVIOUS_WORKDAY, Dates(), None, 20),
        ("*/30 9-17 * * 1", Shift.NEXT, Dates(days=frozenset({date(2027, 1, 5)})), None, 20),
        ("0 * * 1-6 *", Shift.NEXT, CHRISTMAS, None, 20),
        # No fire stays on its date.
        ("*/30 2 * * 0,6", Shift.PREVIOUS_WORKDAY, Dates(), None, 20),
        ("0 * * * *", Shift.PREVIOUS, CHRISTMAS, MARCH, 20),
        ("0 * * * *", Shift.NEXT_WORKDAY, CHRISTMAS, MARCH, 20),
        # No date is free, so all fires are dropped.
        ("0 * * * *", Shift.NEXT, ALL_YEAR, None, 0),
    ],
)
def test_fires_that_stay_do_not_wait_for_a_search_of_fires_that_move(
    expression: str, shift: Shift, excepted: Dates, only: Dates | None, count: int
) -> None:
    rule = Rule(
        pattern=Cron(expression=expression),
        zone=MADRID,
        shift=shift,
        excepted=excepted,
        only=only,
    )
    begin = datetime(2027, 1, 1, tzinfo=UTC)
    found: list[datetime] = []
    effort = effort_of(lambda: found.extend(islice(fires(rule, begin), count or 1)))
    assert len(found) == count
    assert effort < (100_000 if count else 20_000_000), "a walk to the year 9999 takes far more"
    if count:
        summary = span(rule, begin, found[-1], keep=count)
        assert summary.latest == tuple(found)
        assert effort_of(lambda: span(rule, begin, found[-1])) < 400_000
