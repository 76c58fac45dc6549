"""The cookbook's recipes for schedules. The tests set the runner's clock."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.clock_world import GivenClock, living
from support.cookbook import Kitchen, moment, recipes, tries


def test_each_recipe_of_the_cookbook_has_a_test() -> None:
    assert set(_titles_tried()) == set(recipes())
    assert len(recipes()) >= 25


def _titles_tried() -> Iterator[str]:
    for path in Path(__file__).parent.glob("test_cookbook_*.py"):
        yield from re.findall(r'^@tries\(\s*"(.+?)"', path.read_text(), re.MULTILINE)


@tries("How do I run something every night?")
def test_it_runs_on_the_nights_of_weekdays(kitchen: Kitchen) -> None:
    days = ("21 12:00", "22 02:00", "23 02:00", "23 14:00", "24 02:00")
    ran = kitchen.fires("nightly", at=[f"2026-11-{day}" for day in days])
    assert ran == ["2026-11-23 02:00", "2026-11-24 02:00"]


@tries("How do I run something on the last workday of the month?")
def test_it_runs_on_the_last_workday(kitchen: Kitchen) -> None:
    days = ("2027-01-28", "2027-01-29", "2027-01-30", "2027-01-31", "2027-02-26")
    ran = kitchen.fires("close-the-month", at=[f"{day} 17:30" for day in ("2027-01-27", *days)])
    assert ran == ["2027-01-29 17:30", "2027-02-26 17:30"]


@tries("How do I run something every 15 minutes in business hours?")
def test_it_runs_every_15_minutes_in_business_hours(kitchen: Kitchen) -> None:
    times = ("20 16:50", "20 17:45", "20 18:00", "21 09:00", "23 07:45", "23 08:00", "23 08:15")
    ran = kitchen.fires("poll-orders", at=[f"2026-11-{time}" for time in times])
    assert ran == ["2026-11-20 17:45", "2026-11-23 08:00", "2026-11-23 08:15"]
    assert "17:45" in kitchen.type("runner next poll-orders --from '2026-11-20 17:31' -n 2")


@tries("How do I run something once, at a given time?")
def test_it_runs_once_at_that_time(kitchen: Kitchen) -> None:
    times = ("2026-12-31 06:00", "2027-01-01 05:59", "2027-01-01 06:00", "2027-01-02 06:00")
    assert kitchen.fires("change-over", at=times) == ["2027-01-01 06:00"]


@tries("How do I skip a holiday?")
def test_it_does_not_run_on_a_holiday(kitchen: Kitchen) -> None:
    days = ("23 12:00", "24 06:00", "25 06:00", "28 06:00")
    ran = kitchen.fires("deliver", at=[f"2026-12-{day}" for day in days])
    assert ran == ["2026-12-24 06:00"]


@tries("How do I run something on the next workday if its day is a holiday?")
def test_it_runs_on_the_next_workday(kitchen: Kitchen) -> None:
    days = ("2026-12-31", "2027-01-01", "2027-01-02", "2027-01-04", "2027-02-01")
    ran = kitchen.fires("pay", at=[f"{day} 08:00" for day in days])
    assert ran == ["2027-01-04 08:00", "2027-02-01 08:00"]
    moved, stayed = kitchen.place.finished("pay")
    assert moved["message"] == "moved from 2027-01-01, excepted by closed.txt:2"
    assert stayed["message"] is None


@pytest.mark.skipif(
    importlib.util.find_spec("holidays") is None, reason="the extra [calendars] is not installed"
)
@tries("How do I write a file of public holidays?")
def test_it_runs_on_no_public_holiday(kitchen: Kitchen) -> None:
    assert kitchen.type_all()[-1].startswith("1 request, all valid")
    days = ("12-24", "12-25", "12-28")
    assert kitchen.fires("morning", at=[f"2026-{day} 07:00" for day in ("12-23", *days)]) == [
        "2026-12-24 07:00",
        "2026-12-28 07:00",
    ]


@tries("How do I run something only on some dates?")
def test_it_runs_only_on_these_dates(kitchen: Kitchen) -> None:
    days = ("2026-12-30", "2026-12-31", "2027-03-30", "2027-03-31", "2027-04-01")
    ran = kitchen.fires("quarter", at=[f"{day} 20:00" for day in days])
    assert ran == ["2026-12-31 20:00", "2027-03-31 20:00"]


@tries("How do I keep requests of the same minute from starting together?")
def test_they_start_at_different_times_below_five_minutes(kitchen: Kitchen) -> None:
    begin = moment("2026-11-23 08:59")
    with living(kitchen.place, GivenClock(begin)) as life:
        life.go_on(timedelta(minutes=7), by=timedelta(seconds=5))
    started = []
    for name in ("collect-north", "collect-south"):
        (record,) = kitchen.place.finished(name)
        assert moment(record["scheduled_for"]) == moment("2026-11-23 09:00")
        started.append(moment(record["started"]) - moment("2026-11-23 09:00"))
    assert started[0] != started[1]
    assert all(timedelta() <= delay < timedelta(minutes=5, seconds=5) for delay in started)


@tries("How do I catch up after downtime?")
def test_it_runs_once_for_each_missed_night(kitchen: Kitchen) -> None:
    assert kitchen.fires("bill", at=["2026-11-20 12:00"]) == []
    ran = kitchen.fires("bill", at=["2026-11-23 08:00"])
    assert ran == ["2026-11-21 03:00", "2026-11-22 03:00", "2026-11-23 03:00"]


@pytest.mark.parametrize(("policy", "ran"), [("fire_once", ["2026-11-23 03:00"]), ("skip", [])])
@tries("How do I catch up after downtime?")
def test_the_other_policies_of_the_recipe_run_the_latest_fire_or_none(
    kitchen: Kitchen, policy: str, ran: list[str]
) -> None:
    file = kitchen.folder / "jobs.d/bill.yaml"
    file.write_text(file.read_text().replace("misfire: fire_all", f"misfire: {policy}"))
    kitchen.fires("bill", at=["2026-11-20 12:00"])
    assert kitchen.fires("bill", at=["2026-11-23 08:00"]) == ran
    (missed,) = kitchen.place.finished("bill", status="misfired")
    assert missed["missed_count"] == 3
