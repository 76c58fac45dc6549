"""The reference's table of fires around clock changes equals what `runner next` prints
and what an oracle finds.

The oracle walks all minutes. Of zones it uses only what their clocks show at an
instant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Self
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from support.place import ROOT, Place
from support.transitions import CRON, HOURLY, TRANSITIONS, Transition, shown

from runner.access import loading
from runner.cli.group import cli

MINUTE = timedelta(minutes=1)
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in re.findall(
        r"<!-- generated: transitions -->\n(.*?)<!-- /generated -->",
        (ROOT / "jobs.d/README.md").read_text(),
        re.DOTALL,
    )[0].splitlines()[2:]
]


class In2011(datetime):
    """A clock that stands before all transitions of the table."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls(2011, 1, 1, tzinfo=tz)


CASES = pytest.mark.parametrize(
    "index", range(len(TRANSITIONS)), ids=lambda index: f"{TRANSITIONS[index].zone}-{index}"
)


def minutes(first: datetime, last: datetime) -> Iterator[datetime]:
    for number in range(int((last - first) / MINUTE) + 1):
        yield first + number * MINUTE


def jump_near(each: Transition) -> tuple[datetime, datetime, datetime]:
    """Return the instant near a day at which a zone's clock jumps, and the times before
    and after, by search.
    """
    noon, place = (
        datetime(each.near.year, each.near.month, each.near.day, 12, tzinfo=UTC),
        ZoneInfo(each.zone),
    )
    for before, after in pairwise(minutes(noon - timedelta(days=1), noon + timedelta(days=1))):
        walls = [moment.astimezone(place).replace(tzinfo=None) for moment in (before, after)]
        if walls[1] - walls[0] != MINUTE:
            return after, walls[0] + MINUTE, walls[1]
    raise AssertionError(f"the clocks of {each.zone} do not change near {each.near}")


def when_first_reached(each: Transition, first: datetime, last: datetime) -> list[datetime]:
    """Return the instants at which the clock first shows or passes `at`, for each date."""
    place, hour, minute = ZoneInfo(each.zone), *map(int, each.at.split(":"))
    found: dict[date, datetime] = {}
    # From a day earlier: a date fires at the first of two instants, even if only the
    # second one is in the stretch.
    for moment in minutes(first - timedelta(days=1), last):
        wall = moment.astimezone(place)
        if (wall.hour, wall.minute) >= (hour, minute):
            found.setdefault(wall.date(), moment)
    return [moment for moment in sorted(found.values()) if first <= moment]


def when_shown(each: Transition, holds: Callable[[datetime], bool]) -> list[datetime]:
    place = ZoneInfo(each.zone)
    return [moment for moment in minutes(*each.hours()) if holds(moment.astimezone(place))]


@CASES
def test_each_row_names_the_change_and_a_time_of_day_inside_it(index: int) -> None:
    zone, reported, at, *_ = ROWS[index]
    each = TRANSITIONS[index]
    instant, before, after = jump_near(each)
    assert (zone, at) == (each.zone, each.at)
    assert each.change.at == instant
    assert reported.startswith("forward" if after > before else "back")
    assert f"{before:%-d %b %Y %H:%M} → " in reported
    assert reported.endswith(f"{after:%H:%M}")
    low, high = sorted((before, after))
    named = [
        datetime.combine(day, datetime.strptime(at, "%H:%M").time())  # noqa: DTZ007
        for day in (low.date(), high.date())
    ]
    assert any(low <= wall < high for wall in named)


@CASES
def test_each_row_equals_what_the_oracle_finds(index: int) -> None:
    each = TRANSITIONS[index]
    assert ROWS[index][3:] == (
        shown(when_first_reached(each, *each.days()), each),
        shown([moment for moment in minutes(*each.hours()) if moment.minute == 0], each),
        shown(when_shown(each, lambda wall: wall.minute == 30), each),
    )


@pytest.mark.timeout(300)
def test_each_row_equals_what_the_command_prints(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "datetime", In2011)
    for index, each in enumerate(TRANSITIONS):
        for kind, schedule in (("daily", each.daily), ("hourly", HOURLY), ("cron", CRON)):
            place.declare(
                f"{kind}-{index}", "true", {"schedule": {**schedule, "timezone": each.zone}}
            )
    for index, each in enumerate(TRANSITIONS):
        items = next_in_2011(place, each)
        for cell, (kind, (first, last)) in zip(
            ROWS[index][3:], stretches(each).items(), strict=True
        ):
            own = [item for item in items if item["request"] == f"{kind}-{index}"]
            reported = [
                item
                for item in own
                if first <= datetime.fromisoformat(item["scheduled_for"]) <= last
            ]
            assert cell == shown(
                [datetime.fromisoformat(item["scheduled_for"]) for item in reported], each
            )
            assert all(
                item["zone"] == each.zone and item["local"] == printed_local(item, each)
                for item in reported
            )


def stretches(each: Transition) -> dict[str, tuple[datetime, datetime]]:
    return {"daily": each.days(), "hourly": each.hours(), "cron": each.hours()}


def next_in_2011(place: Place, each: Transition) -> list[dict[str, str]]:
    """Return what `runner next` prints of the days of a change, with the clock set to
    early 2011.
    """
    first, last = map(text, each.days())
    arguments = (
        "next",
        "--timezone",
        each.zone,
        "--from",
        first,
        "--until",
        last,
        "--output",
        "json",
    )
    done = CliRunner(env=place.environment).invoke(cli, arguments, prog_name="runner")
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def printed_local(item: dict[str, str], each: Transition) -> str:
    return (
        datetime.fromisoformat(item["scheduled_for"]).astimezone(ZoneInfo(each.zone)).isoformat(" ")
    )


def test_the_table_has_a_gap_and_an_overlap_of_each_zone() -> None:
    zones = (
        "Europe/Madrid",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Cairo",
        "Pacific/Apia",
    )
    assert [row[0] for row in ROWS] == [zone for zone in zones for _ in range(2)]
    assert [row[1].partition(":")[0] for row in ROWS] == ["forward", "back"] * 5
