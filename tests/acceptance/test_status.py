"""`status`: what a runner does; without a runner, how the last one ended, and what it left."""

from __future__ import annotations

import os
import signal
from functools import partial

import pytest
from support.place import GATE, Place, end_of, loses_exit_codes, wait_until
from support.process_world import is_dead

DAILY = {"schedule": {"frequency": "daily", "at": "02:00", "start": "2100-01-01"}}


def _said(place: Place) -> list[str]:
    done = place.run("status")
    assert (done.returncode, done.stdout) == (4, "")
    return done.stderr.splitlines()


def _is_taken(place: Place, name: str) -> bool:
    (status,) = place.items("status")
    return any(each["request"] == name for each in status["running"] + status["waiting"])


def test_before_the_first_runner_status_mentions_no_former_one(place: Place) -> None:
    assert _said(place) == [
        f"runner: no runner is running on {place.store.words}; `runner start` starts one"
    ]


def test_after_a_stop_it_says_when_the_last_runner_stopped(place: Place) -> None:
    place.declare("daily", "true", DAILY)
    assert place.stop(place.start()) == 0
    (stopped,) = place.events("runner.stopped")
    minute = str(stopped["time"])[:16].replace("T", " ")
    (_, line) = _said(place)
    assert line.startswith(f"  the last runner stopped at {minute}")
    if not place.is_in_fleet:
        assert place.run("exec", "daily").returncode == 0
        assert _said(place)[1:] == [line], "a command alone is no runner"


@loses_exit_codes
def test_after_a_kill_status_names_executions_that_still_run_and_that_ended(
    place: Place,
) -> None:
    place.declare("slow", GATE)
    place.declare("other", f"exec sh -c {GATE!r}")
    place.declare("queued", "true")
    place.write("both.yaml", "process: {group: {members: [{request: slow}]}}\n")
    runner = place.start("--max-running", "3")
    asking = []
    for name in ("slow", "other", "both", "queued"):
        asking.append(place.begin("exec", name))
        wait_until(partial(_is_taken, place, name), what=f"{name} is claimed")
    wait_until(lambda: len(place.events("execution.started")) == 4, what="all but queued run")
    pids = {each["request"]: each["pid"] for each in place.events("execution.started", group=None)}
    runner.kill()
    runner.wait(timeout=60)
    os.killpg(int(str(pids["other"])), signal.SIGKILL)
    assert [end_of(each)[0] for each in asking] == [4, 4, 4, 4]

    wait_until(partial(is_dead, int(str(pids["other"]))), what="the end of other")
    first, end, *fates = _said(place)
    assert "no runner is running on" in first
    assert end.startswith(
        f"  the last runner (process {runner.pid}) ended unexpectedly; it was last seen at 20"
    )
    assert sorted(fates) == sorted(
        [
            f"  slow (process {pids['slow']}), both: left running; the next start takes over",
            f"  other (process {pids['other']}): ended meanwhile or never started;"
            " the next start records that",
            "  queued: waiting for the next start",
        ]
    )
    place.open_gate()
    again = place.start()
    place.await_finished("queued")
    assert place.stop(again) == 0


@pytest.mark.sqlite_only("each node of a fleet has a jobs folder of its own")
def test_status_ignores_the_runner_of_another_jobs_folder(place: Place) -> None:
    place.declare("daily", "true", DAILY)
    place.stop(place.start())
    other = place.folder / "other" / "jobs.d"
    other.mkdir(parents=True)
    done = place.run("status", "--jobs", str(other))
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 1)


def test_next_lists_the_next_fire_of_each_of_the_next_five_requests(place: Place) -> None:
    place.declare("often", "true", {"schedule": {"frequency": "hourly", "start": "2100-01-01"}})
    for day in range(2, 8):
        timing = {"schedule": {"frequency": "daily", "at": "02:00", "start": f"2100-01-0{day}"}}
        place.declare(f"daily-{day}", "true", timing)
    runner = place.start()
    (status,) = place.items("status")
    assert [each["request"] for each in status["next"]] == [
        "often", "daily-2", "daily-3", "daily-4", "daily-5",
    ]  # fmt: skip
    assert place.stop(runner) == 0


def _await_reloads(place: Place, count: int) -> None:
    wait_until(lambda: len(place.events("runner.reloaded")) >= count, what=f"reload {count}")


def counted(place: Place) -> object:
    (item,) = place.items("status")
    return item["requests"]


def test_status_counts_the_requests_of_the_runner_and_names_their_next_fires(
    place: Place,
) -> None:
    spread = {"schedule": {**DAILY["schedule"], "spread": "9h"}}
    place.declare("daily", "true", DAILY)
    place.declare("spread", "true", spread)
    place.declare("later", "true", {"run_later": {"start": "2100-01-01 01:00"}})
    place.declare("once", "true", "run_immediately")
    place.declare("off", "true", DAILY, top={"scheduled": False})
    place.declare("definition", "true")
    place.declare("gone", "true", DAILY)
    runner = place.start()
    place.await_finished("once")
    (place.jobs / "gone.yaml").unlink()
    _await_reloads(place, 1)
    (item,) = place.items("status")
    assert item["requests"] == {
        "scheduled": 3,
        "definition": 1,
        "unscheduled": 1,
        "complete": 1,
    }
    assert item["next"] == [
        {"request": each["request"], "scheduled_for": each["scheduled_for"]}
        for each in place.items("next", "-n", "3")
    ]
    assert [each["request"] for each in item["next"]] == ["later", "daily", "spread"]
    assert place.stop(runner) == 0


def test_status_counts_rejected_documents_while_there_are_any(place: Place) -> None:
    place.declare("good", "true", DAILY)
    place.declare("bad", "true", DAILY)
    runner = place.start()
    place.write("bad.yaml", "process: [")
    place.write("worse.yaml", "process: [")
    _await_reloads(place, 1)
    assert counted(place) == {"scheduled": 1, "invalid": 2}
    (place.jobs / "worse.yaml").unlink()
    place.declare("bad", "true", DAILY)
    _await_reloads(place, 2)
    assert counted(place) == {"scheduled": 2}
    assert place.stop(runner) == 0
