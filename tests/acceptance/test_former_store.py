"""The store and the log of a former version, opened by this one."""

from __future__ import annotations

import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from support.place import Place

SAMPLES = Path(__file__).parent / "samples"
"""What runners of version 1 left. `store-version-1`: results of `good`, `bad` and `group`,
none of `never`, and one of `later`, which only `runner exec` knew.
`store-version-1-executing`: a group at its second member, a process, a follow-up, and an
attempt to come, left by kill -9. `monitor-version-1`: the log of a run with each kind of
result.
"""
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
