"""The runner's zone: commands compute in it from any shell, and its changes neither
lose nor repeat a fire.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from subprocess import Popen, run

import pytest
from support.place import Place, wait_until
from support.postgres import execute

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
    for arguments in (
        ["ls"],
        ["show", "nightly"],
        ["status"],
        ["next", "-n", "1"],
        ["plan"],
        ["simulate"],
    ):
        reported = place.run(*arguments).stderr
        assert reported.count(EASTERN) == 1 and "UTC" in reported, (arguments, reported)


def test_a_command_in_the_zone_of_the_runner_prints_no_zone_note(place: Place) -> None:
    place.declare("nightly", "true", {"schedule": {"frequency": "daily", "at": "02:00"}})
    place.start()
    assert place.run("ls").stderr == ""


def test_two_names_of_one_zone_are_equal(place: Place) -> None:
    place.declare("a", "true", {"schedule": {"frequency": "daily", "at": "15:30"}})
    place.environment["TZ"] = "Etc/UTC"
    assert place.stop(place.start()) == 0
    place.environment["TZ"] = "UTC"
    assert place.run("next").stderr == ""
    place.environment["TZ"] = "Europe/London"
    assert "the zone of this shell is Europe/London" in place.run("next").stderr


def test_a_given_zone_counts_without_a_runner(place: Place) -> None:
    place.declare("nightly", "true", {"schedule": {"frequency": "daily", "at": "02:00"}})
    place.stop(place.start("--timezone", EASTERN))
    (last,) = place.items("next", "-n", "1")
    (given,) = place.items("next", "-n", "1", "--timezone", "Europe/Madrid")
    assert (last["zone"], given["zone"]) == (EASTERN, "Europe/Madrid")


def test_an_expression_is_explained_in_the_given_zone(place: Place) -> None:
    place.start("--timezone", EASTERN)
    (here,) = place.items("explain", "0 2 * * *")
    (there,) = place.items("explain", "0 2 * * *", "--timezone", "Europe/Madrid")
    assert (here["zone"], there["zone"]) == (EASTERN, "Europe/Madrid")


def test_a_runner_that_starts_in_another_zone_misses_nothing_that_was_never_due(
    place: Place,
) -> None:
    passed = datetime.now(UTC) - timedelta(minutes=5)
    place.declare("nightly", "true", {"schedule": {"frequency": "daily", "at": f"{passed:%H:%M}"}})
    place.stop(place.start("--timezone", EASTERN))
    with_old_verdicts(place)
    place.start("--timezone", "UTC")
    (listed,) = place.items("ls")
    assert listed["sync"] == "in sync"
    assert place.finished("nightly") == []


def with_old_verdicts(place: Place) -> None:
    """Set the last verdict of every request two hours back, as after two hours of downtime."""
    earlier = "UPDATE requests SET fired_through = fired_through - 7200000000"
    if place.store.url is not None:
        execute(place.store.url, earlier)
        return
    with closing(sqlite3.connect(place.state / "store.sqlite3")) as connection, connection:
        connection.execute(earlier)


class Zones:
    """A private zone-data folder (PYTHONTZPATH) in which Test/City has the offset that
    a test sets.
    """

    key = "Test/City"

    def __init__(self, place: Place) -> None:
        self._file = place.folder / "zoneinfo" / self.key
        self._file.parent.mkdir(parents=True)
        place.environment |= {"PYTHONTZPATH": str(place.folder / "zoneinfo"), "TZ": self.key}

    def put(self, hours: int) -> None:
        """Replace the zone data: the clocks are so many hours ahead of UTC (Etc/GMT
        reverses the sign).
        """
        raw = files("tzdata.zoneinfo.Etc").joinpath(f"GMT-{hours}").read_bytes()
        new = self._file.with_name(".new")
        new.write_bytes(raw)
        new.rename(self._file)

    def cut_off(self) -> None:
        """Leave half of the file, as a copy in progress does."""
        self._file.write_bytes(self._file.read_bytes()[:-1])


@pytest.fixture
def zones(place: Place) -> Zones:
    """Return zone data of a city three hours ahead of UTC, which every command uses."""
    made = Zones(place)
    made.put(3)
    return made


def wall(ahead: timedelta, *, hours: int) -> str:
    """Return the time of day, some time from now, on clocks so many hours ahead of UTC."""
    return f"{datetime.now(UTC) + ahead + timedelta(hours=hours):%H:%M:%S}"


def next_fire(place: Place) -> datetime:
    (item,) = place.items("next", "-n", "1")
    return datetime.fromisoformat(item["scheduled_for"])


def await_new_data(place: Place, *, count: int = 1) -> None:
    def said() -> bool:
        return (
            sum("zone data" in (each["message"] or "") for each in place.events("runner.reloaded"))
            >= count
        )

    wait_until(said, what="the runner noticed the zone data")


def test_new_zone_data_is_reported_and_moves_upcoming_fires(place: Place, zones: Zones) -> None:
    place.declare(
        "daily",
        "true",
        {"schedule": {"frequency": "daily", "at": wall(timedelta(hours=5), hours=3)}},
    )
    place.declare("later", "true", {"run_later": {"start": "2100-01-01 12:00"}})
    place.start()
    before = {
        item["request"]: datetime.fromisoformat(item["scheduled_for"]) for item in place.items("ls")
    }
    zones.put(4)
    await_new_data(place)
    after = {
        item["request"]: datetime.fromisoformat(item["scheduled_for"]) for item in place.items("ls")
    }
    assert {name: before[name] - after[name] for name in before} == dict.fromkeys(
        before, timedelta(hours=1)
    )
    (status,) = place.items("status")
    assert {
        each["request"]: datetime.fromisoformat(each["scheduled_for"]) for each in status["next"]
    } == after
    assert {item["sync"] for item in place.items("ls")} == {"in sync"}
    assert "there is new zone data for Test/City; it applies from now on" in place.console()
    assert place.events("execution.finished") == []


def test_a_fire_that_new_zone_data_moves_into_the_past_gets_no_verdict(
    place: Place, zones: Zones
) -> None:
    at = wall(timedelta(minutes=30), hours=3)
    place.declare(
        "daily", "true", {"schedule": {"frequency": "daily", "at": at, "misfire": "fire_once"}}
    )
    place.stop(place.start())
    with_old_verdicts(place)
    place.start()
    fire = next_fire(place)
    zones.put(4)
    await_new_data(place)
    assert next_fire(place) == fire + timedelta(hours=23)
    assert place.events("execution.finished") == []


def test_a_restart_under_new_zone_data_runs_and_misses_nothing_that_was_never_due(
    place: Place, zones: Zones
) -> None:
    at = wall(timedelta(minutes=30), hours=3)
    place.declare(
        "daily", "true", {"schedule": {"frequency": "daily", "at": at, "misfire": "fire_once"}}
    )
    place.stop(place.start())
    fire = next_fire(place)
    with_old_verdicts(place)
    zones.put(4)
    place.start()
    await_new_data(place)
    assert next_fire(place) == fire + timedelta(hours=23)
    place.stop(place.running[-1])
    place.start()
    assert next_fire(place) == fire + timedelta(hours=23)
    assert place.events("execution.finished") == []


def test_a_time_of_day_that_has_run_does_not_run_again_when_new_zone_data_repeats_it(
    place: Place, zones: Zones
) -> None:
    at = wall(timedelta(seconds=4), hours=3)
    place.declare("daily", "true", {"schedule": {"frequency": "daily", "at": at}})
    place.declare(
        "once",
        "true",
        {"run_later": {"start": f"{datetime.now(UTC) + timedelta(hours=3):%F} {at}"}},
    )
    place.start()
    (ran,) = place.await_finished("daily", status="success")
    place.await_finished("once", status="success")
    zones.put(2)
    await_new_data(place)
    assert next_fire(place) == datetime.fromisoformat(ran["scheduled_for"]) + timedelta(hours=25)
    assert {item["request"]: item["status"] for item in place.items("ls")} == {
        "daily": "scheduled",
        "once": "complete",
    }
    assert len(place.events("execution.finished")) == 2


def test_zone_data_that_is_being_copied_is_ignored_until_it_is_whole(
    place: Place, zones: Zones
) -> None:
    place.declare(
        "daily",
        "true",
        {"schedule": {"frequency": "daily", "at": wall(timedelta(hours=5), hours=3)}},
    )
    place.declare("often", "true", {"schedule": {"frequency": "secondly"}})
    place.start()
    before = place.items("show", "daily")[0]["next"]
    zones.cut_off()
    assert place.run("reload").returncode == 0  # which reads the zone data too
    place.await_finished("often", count=len(place.finished("often")) + 2)
    assert place.items("show", "daily")[0]["next"] == before
    zones.put(4)
    await_new_data(place)


def test_doctor_reports_a_runner_with_other_zone_data_than_the_disk(
    place: Place, zones: Zones
) -> None:
    place.declare("daily", "true", {"schedule": {"frequency": "daily", "at": "02:00"}})
    runner = place.start()
    with place.standing_still(runner):
        zones.put(4)
        found = [item for item in place.items("doctor") if item["check"] == "zone"]
    assert [
        "Test/City differs from the data on the disk" in item["message"] for item in found
    ].count(True) == 1


def test_a_running_runner_follows_the_zone_of_the_system(place: Place) -> None:
    localtime = place.folder / "localtime"
    localtime.symlink_to(f"/usr/share/zoneinfo/{EASTERN}")
    place.environment["TZ"] = f":{localtime}"
    place.declare("daily", "true", {"schedule": {"frequency": "daily", "at": "02:00"}})
    place.declare(
        "fixed",
        "true",
        {"schedule": {"frequency": "daily", "at": "02:00", "timezone": "Asia/Tokyo"}},
    )
    place.start()
    tokyo = place.items("show", "fixed")[0]["next"]
    await_zone(place, localtime, "Asia/Tokyo")
    assert (
        place.items("show", "daily")[0]["next"] == place.items("show", "fixed")[0]["next"] == tokyo
    )
    assert {item["sync"] for item in place.items("ls")} == {"in sync"}
    place.declare("new", "true", {"run_later": {"start": "2100-01-01 12:00"}})
    wait_until(lambda: place.events("request.scheduled", "new"))
    assert place.items("show", "new")[0]["scheduled_for"] == "2100-01-01T03:00:00.000000Z"
    assert place.events("execution.finished") == []


def test_a_given_zone_stays_when_the_zone_of_the_system_changes(place: Place) -> None:
    localtime = place.folder / "localtime"
    localtime.symlink_to(f"/usr/share/zoneinfo/{EASTERN}")
    place.environment["TZ"] = f":{localtime}"
    place.declare("daily", "true", {"schedule": {"frequency": "daily", "at": "02:00"}})
    place.start("--timezone", EASTERN)
    localtime.unlink()
    localtime.symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    assert place.run("reload").returncode == 0
    assert place.items("next", "-n", "1")[0]["zone"] == EASTERN


@pytest.mark.skipif(
    run(["unshare", "-m", "true"]).returncode != 0, reason="a mount namespace takes root"
)
def test_a_running_runner_follows_etc_localtime(place: Place) -> None:
    etc = place.folder / "etc"
    etc.mkdir()
    (etc / "passwd").write_bytes(Path("/etc/passwd").read_bytes())
    (etc / "localtime").symlink_to(f"/usr/share/zoneinfo/{EASTERN}")
    del place.environment["TZ"]
    place.declare("daily", "true", {"schedule": {"frequency": "daily", "at": "02:00"}})
    script = 'mount --bind "$0" /etc && exec "$@"'
    command = [sys.executable, "-m", "runner", "start"]
    place.running.append(
        Popen(["unshare", "-m", "sh", "-c", script, etc, *command], env=place.environment)
    )
    wait_until(lambda: place.events("runner.started"), within_s=90)
    assert place.items("next", "-n", "1")[0]["zone"] == EASTERN
    await_zone(place, etc / "localtime", "Asia/Tokyo")
    assert place.items("next", "-n", "1")[0]["zone"] == "Asia/Tokyo"


def await_zone(place: Place, link: Path, key: str) -> None:
    """Point a link at another zone, and wait until the runner uses it."""
    new = link.with_name("new")
    new.symlink_to(f"/usr/share/zoneinfo/{key}")
    new.rename(link)
    words = f"the system's zone is now {key}"
    wait_until(
        lambda: any(words in (each["message"] or "") for each in place.events("runner.reloaded"))
    )
