"""The stores and the logs of former versions, opened by this one.

A release adds its own: UPDATE_SAMPLES=1 (with `-n 0`) rewrites those of this version.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from support.place import GATE, Place

from runner import __version__
from runner.store.sqlite.schema import MIGRATIONS

pytestmark = pytest.mark.sqlite_only("earlier versions had no store in PostgreSQL")

SAMPLES = Path(__file__).parent / "samples"
"""What runners of version 1 left. `store-version-1`: results of `good`, `bad` and `group`,
none of `never`, and one of `later`, which only `runner exec` knew.
`store-version-1-executing`: a group at its second member, a process, a follow-up, and an
attempt to come, left by kill -9. `monitor-version-1`: the log of a run with each kind of
result. `store-0.1.0` and `monitor-0.1.0`: what `leave_a_sample` left with that version.
"""
RELEASES = sorted(path.stem.removeprefix("store-") for path in SAMPLES.glob("store-[0-9]*.sql"))
RESULTS = {
    "bad": ("error", "2026-11-30T08:00:22.687492Z"),
    "good": ("success", "2026-11-30T08:00:22.432836Z"),
    "group": ("success", "2026-11-30T08:00:23.009506Z"),
    "later": ("error", "2026-11-30T08:00:23.843701Z"),
    "never": (None, None),
}


@pytest.fixture
def upgraded(place: Place) -> Place:
    """Return a place with the files and the store of a runner of version 1."""
    for hour, name in enumerate(("good", "bad", "never", "group", "later"), 2):
        timing = {"schedule": {"frequency": "daily", "at": f"{hour:02}:00", "timezone": "UTC"}}
        place.declare(name, "exit 3" if name == "bad" else "true", timing)
    bring(place, "store-version-1")
    return place


def bring(place: Place, sample: str) -> None:
    """Make the store from a sample: what a runner of an earlier version left."""
    place.state.mkdir(mode=0o700)
    text = (SAMPLES / f"{sample}.sql").read_text().replace("{folder}", str(place.folder))
    with closing(sqlite3.connect(place.state / "store.sqlite3")) as database:
        database.executescript(text)


def results_of(place: Place) -> dict[str, tuple[str | None, str | None]]:
    return {
        item["request"]: (item["last_status"], item["last_ended"]) for item in place.items("ls")
    }


def test_the_last_results_of_version_1_survive_the_upgrade_and_a_kill(upgraded: Place) -> None:
    refused = upgraded.run("ls")
    assert refused.returncode == 1
    assert "has version 1" in refused.stderr
    upgraded.stop(upgraded.start(), by=signal.SIGKILL)
    assert results_of(upgraded) == RESULTS
    assert upgraded.run("exec", "bad").returncode == 3
    assert results_of(upgraded)["good"] == RESULTS["good"]
    assert results_of(upgraded)["bad"] > RESULTS["bad"]
    assert upgraded.stop(upgraded.start()) == 0


def test_successes_before_the_upgrade_are_not_known_and_a_backfill_says_so(
    upgraded: Place,
) -> None:
    assert upgraded.stop(upgraded.start()) == 0
    span = ("--from", "2026-11-10", "--to", "2026-11-12", "--dry-run")
    refused = upgraded.run("backfill", "good", *span)
    assert refused.returncode == 1
    assert "successes before 2026-11-30" in refused.stderr


def test_an_upgraded_request_keeps_its_generation(upgraded: Place) -> None:
    assert upgraded.stop(upgraded.start()) == 0
    (item,) = upgraded.items("show", "good")
    assert (item["generation"], item["sync"]) == (1, "in sync")


def test_a_runner_takes_over_the_executions_that_version_1_left(place: Place) -> None:
    """Their processes have ended, and nobody knows how."""
    bring(place, "store-version-1-executing")
    runner = place.start()
    place.await_finished("group", sequence=None)
    waiting = [item["request"] for item in place.items("status")[0]["waiting"]]
    assert place.stop(runner) == 0
    ended = {
        (each["request"], each["sequence"]): each["status"]
        for each in place.events("execution.finished")
        if each["started"]  # else it says which fires were missed since the sample was taken
    }
    assert ended == {
        ("group", None): "system_restart",
        ("group", 2): "system_restart",
        ("notice", None): "system_restart",
        ("running", None): "system_restart",
    }
    assert waiting == ["retried"]


def test_this_version_reads_and_continues_the_log_of_version_1(place: Place) -> None:
    """None of its records changes, and those without newer fields are shown."""
    place.state.mkdir(mode=0o700)
    text = (SAMPLES / "monitor-version-1.jsonl").read_text()
    place.log.write_text(text.replace("{folder}", str(place.folder)))
    former = place.log.read_bytes()
    place.declare("good", "true", {"schedule": {"frequency": "daily", "at": "02:00"}})
    assert place.stop(place.start()) == 0
    assert place.log.read_bytes().startswith(former)
    shown = place.items("monitor")
    assert Counter((item["request"], item["status"]) for item in shown) == {
        ("good", "success"): 1,
        ("bad", "error"): 1,
        ("group", "error"): 2,
        ("group", "success"): 1,
        ("late", "misfired"): 1,
        ("once", "error"): 1,
        ("slow", "error"): 1,
        ("slow", "skipped"): 1,
    }
    (failed,) = place.items("monitor", "--status", "error", "--request", "slow")
    assert (failed["reason"], failed["message"]) == ("timeout", "stopped after its timeout of 1s")
    # The check after each test demands the fields of this version.
    place.log.write_bytes(place.log.read_bytes().removeprefix(former))


def declare_a_sample(place: Place) -> None:
    """Declare requests that run by command, once, and again in a century."""
    far = {"schedule": {"frequency": "daily", "at": "03:00", "start": "2100-01-01"}}
    place.declare("good", "echo hello", far)
    place.declare("bad", "echo broken; exit 3", far)
    place.declare("never", "true", far)
    place.declare("off", "true", far)
    again = {"attempts": 2, "delay": "36500d", "max_delay": "36500d"}
    place.declare("retried", "exit 1", "run_immediately", retry=again)
    place.declare("running", GATE, "run_immediately")


def leave_a_sample(place: Place) -> None:
    """Run the requests, and kill the runner while one of them executes."""
    declare_a_sample(place)
    runner = place.start()
    assert place.run("exec", "good").returncode == 0
    assert place.run("exec", "bad").returncode == 3
    assert place.run("unschedule", "off").returncode == 0
    assert place.run("pause", "never", "--reason", "sample").returncode == 0
    place.await_finished("retried")
    place.await_started("running")
    place.stop(runner, by=signal.SIGKILL)


@pytest.mark.skipif(os.environ.get("UPDATE_SAMPLES") != "1", reason="rewrites a sample")
def test_the_samples_of_this_version_are_rewritten(place: Place) -> None:
    leave_a_sample(place)
    with closing(sqlite3.connect(place.state / "store.sqlite3")) as store:
        (number,) = store.execute("PRAGMA application_id").fetchone()
        (version,) = store.execute("PRAGMA user_version").fetchone()
        lines = "\n".join(store.iterdump())
    pragmas = f"PRAGMA application_id = {number};\nPRAGMA user_version = {version};\n"
    for name, text in (
        (f"store-{__version__}.sql", f"{pragmas}{lines}\n"),
        (f"monitor-{__version__}.jsonl", place.log.read_text()),
    ):
        (SAMPLES / name).write_text(text.replace(str(place.folder), "{folder}"))


@pytest.mark.campaign
def test_a_release_has_samples_with_the_tables_of_its_program() -> None:
    """This test runs before a release: in between, a version may add tables."""
    assert __version__ in RELEASES
    sample = (SAMPLES / f"store-{__version__}.sql").read_text()
    assert f"PRAGMA user_version = {len(MIGRATIONS)};" in sample
    assert (SAMPLES / f"monitor-{__version__}.jsonl").exists()


@pytest.fixture(params=RELEASES)
def left(request: pytest.FixtureRequest, place: Place) -> Place:
    """Return a place with the store and the log of a release."""
    bring(place, f"store-{request.param}")
    text = (SAMPLES / f"monitor-{request.param}.jsonl").read_text()
    place.log.write_text(text.replace("{folder}", str(place.folder)))
    declare_a_sample(place)
    return place


def check_what_the_release_left(place: Place, former: bytes) -> None:
    """Start this version, and look at what the former one left."""
    runner = place.start()
    (lost,) = place.await_finished("running", within_s=90)
    assert lost["status"] == "system_restart"
    ended = {item["request"]: (item["status"], item["last_status"]) for item in place.items("ls")}
    assert ended == {
        "bad": ("scheduled", "error"),
        "good": ("scheduled", "success"),
        "never": ("scheduled", None),
        "off": ("unscheduled", None),
        "retried": ("complete", "error"),
        "running": ("system_restart", "system_restart"),
    }
    (status,) = place.items("status")
    assert [item["request"] for item in status["waiting"]] == ["retried"]
    assert "sample" in place.run("status").stdout  # the reason of the pause
    assert place.stop(runner) == 0
    assert place.log.read_bytes().startswith(former)
    shown = {(item["request"], item["status"]) for item in place.items("monitor")}
    assert {("good", "success"), ("bad", "error"), ("running", "system_restart")} <= shown


def test_this_version_continues_the_store_and_the_log_of_each_release(left: Place) -> None:
    check_what_the_release_left(left, left.log.read_bytes())


def test_the_store_of_each_release_can_be_copied_to_postgresql(
    left: Place, database_url: str
) -> None:
    former = left.log.read_bytes()
    left.environment["RUNNER_STORE"] = database_url
    copied = left.run("store", "copy")
    assert copied.returncode == 0, copied.stderr
    assert copied.stdout.startswith("copied ")
    check_what_the_release_left(left, former)
