"""The zone that fires: commands compute in it from any shell, and its changes neither lose nor repeat a fire."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from support import Place

EASTERN = "America/New_York"


@pytest.mark.parametrize("way", ["TZ", "--timezone"])
def test_commands_compute_in_the_zone_of_the_runner(place: Place, way: str) -> None:
    place.declare("nightly", "true", {"schedule": {"frequency": "daily", "at": "02:00"}})
    if way == "TZ":
        place.environment["TZ"] = EASTERN
        place.start()
        place.environment["TZ"] = "UTC"
    else:
        place.start("--timezone", EASTERN)
    (next_,) = place.items("next", "-n", "1")
    fire = datetime.fromisoformat(next_["scheduled_for"])
    assert (next_["zone"], next_["local"][11:19]) == (EASTERN, "02:00:00")
    assert fire.hour in (6, 7)
    (listed,) = place.items("ls")
    (shown,) = place.items("show", "nightly")
    (status,) = place.items("status")
    (explained,) = place.items("explain", "nightly", "-n", "1")
    (simulated,) = place.items("simulate", "--to", f"{fire + timedelta(days=1):%Y-%m-%d}")
    assert (listed["scheduled_for"], listed["sync"]) == (next_["scheduled_for"], "in sync")
    assert shown["next"][0] == next_["scheduled_for"]
    assert status["next"][0]["scheduled_for"] == next_["scheduled_for"]
    assert explained["next"][0]["scheduled_for"] == next_["scheduled_for"]
    assert simulated["busiest"]["local"][11:19] == "02:00:00"
    assert place.run("plan").returncode == 0
    for arguments in (["ls"], ["show", "nightly"], ["status"], ["next", "-n", "1"], ["plan"], ["simulate"]):
        told = place.run(*arguments).stderr
        assert told.count(EASTERN) == 1 and "UTC" in told, (arguments, told)


def test_a_command_in_the_zone_of_the_runner_says_nothing_of_zones(place: Place) -> None:
    place.declare("nightly", "true", {"schedule": {"frequency": "daily", "at": "02:00"}})
    place.start()
    assert place.run("ls").stderr == ""


def test_a_zone_that_is_given_counts_where_no_runner_is_running(place: Place) -> None:
    place.declare("nightly", "true", {"schedule": {"frequency": "daily", "at": "02:00"}})
    place.stop(place.start("--timezone", EASTERN))
    (last,) = place.items("next", "-n", "1")
    (given,) = place.items("next", "-n", "1", "--timezone", "Europe/Madrid")
    assert (last["zone"], given["zone"]) == (EASTERN, "Europe/Madrid")


def test_an_expression_is_explained_in_the_zone_that_is_given(place: Place) -> None:
    place.start("--timezone", EASTERN)
    (here,) = place.items("explain", "0 2 * * *")
    (there,) = place.items("explain", "0 2 * * *", "--timezone", "Europe/Madrid")
    assert (here["zone"], there["zone"]) == (EASTERN, "Europe/Madrid")


def test_a_runner_that_starts_in_another_zone_misses_nothing_that_was_never_due(place: Place) -> None:
    passed = datetime.now(UTC) - timedelta(minutes=5)
    place.declare("nightly", "true", {"schedule": {"frequency": "daily", "at": f"{passed:%H:%M}"}})
    place.stop(place.start("--timezone", EASTERN))
    with_store_of_yesterday(place)
    place.start("--timezone", "UTC")
    (listed,) = place.items("ls")
    assert listed["sync"] == "in sync"
    assert place.finished("nightly") == []


def with_store_of_yesterday(place: Place) -> None:
    """Let the last verdict of every request be two hours ago, as if the runner had been down since then."""
    with closing(sqlite3.connect(place.state / "store.sqlite3")) as connection, connection:
        connection.execute("UPDATE requests SET fired_through = fired_through - 7200000000")
