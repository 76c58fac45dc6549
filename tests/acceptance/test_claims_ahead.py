"""What a person sees of fires that are claimed ahead of their time.

A fault makes the runner claim far earlier than 5 ms ahead. So the moment between the claim
and the start is long enough for a command, a kill or a look.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from support.place import SECONDLY, Place, Record, check_log, wait_until

pytestmark = pytest.mark.sqlite_only("a fleet claims nothing ahead of its time")

FAR_AHEAD = """
import sys
from datetime import timedelta
from runner.planning.fires import claims_ahead

claims_ahead.AHEAD = timedelta(milliseconds=int(sys.argv.pop(1)))
from runner.cli import main

main()
"""
HOUR_MS = 3_600_000


def start(place: Place, *, ahead_ms: int) -> subprocess.Popen[str]:
    """Start a runner that claims fires so early."""
    console = (place.folder / "console.far").open("w")
    with console:
        process = subprocess.Popen(
            [sys.executable, "-c", FAR_AHEAD, str(ahead_ms), "start"],
            env=place.environment,
            cwd=place.folder,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            text=True,
        )
    place.running.append(process)
    wait_until(lambda: place.events("runner.started"), within_s=90, what="runner.started")
    return process


def declare_later(place: Place, *names: str) -> None:
    """Write requests that run once, in half an hour."""
    start = datetime.now(UTC) + timedelta(minutes=30)
    for name in names:
        timing = {"run_later": {"start": f"{start:%Y-%m-%d %H:%M}", "timezone": "UTC"}}
        place.declare(name, "echo $RUNNER_REQUEST >> ../ran", timing)


def await_claims(place: Place, count: int) -> None:
    wait_until(
        lambda: len([each for each in place.items("ls") if each["status"] == "complete"]) == count,
        within_s=60,
        what=f"{count} claims",
    )


def test_unscheduled_or_killed_before_its_time_a_claimed_fire_never_starts(place: Place) -> None:
    declare_later(place, "unwanted", "killed", "stopped")
    runner = start(place, ahead_ms=HOUR_MS)
    await_claims(place, 3)
    assert place.run("unschedule", "unwanted").returncode == 0
    assert place.run("kill", "killed").returncode == 0
    assert place.stop(runner) == 0
    ends = {name: place.finished(name) for name in ("unwanted", "killed", "stopped")}
    assert {name: (end["status"], end["reason"]) for name, (end,) in ends.items()} == {
        "unwanted": ("skipped", "unscheduled"),
        "killed": ("killed", "killed_by_user"),
        "stopped": ("killed", "runner_stopped"),
    }
    assert all(end["started"] is None for (end,) in ends.values())
    assert not (place.folder / "ran").exists()
    check_log(place.log)


def test_after_kill_9_the_record_says_that_a_claimed_fire_never_ran(place: Place) -> None:
    declare_later(place, "a")
    runner = start(place, ahead_ms=HOUR_MS)
    await_claims(place, 1)
    runner.send_signal(signal.SIGKILL)
    runner.wait(timeout=60)
    second = place.start()
    (end,) = place.await_finished("a")
    assert (end["status"], end["reason"], end["started"]) == ("system_restart", "runner_lost", None)
    assert end["message"] == "the runner ended before it could start this; it never ran"
    assert place.stop(second) == 0
    assert not (place.folder / "ran").exists()


def test_no_fire_starts_before_its_time(place: Place) -> None:
    for number in range(5):
        place.declare(f"tick-{number}", "true", SECONDLY)
    runner = start(place, ahead_ms=900)

    def ran_after_a_claim_ahead() -> list[Record]:
        return [
            each
            for each in place.events("execution.finished")
            if each["started"] and _claimed_at(each["execution"]) < each["scheduled_for"]
        ]

    wait_until(lambda: len(ran_after_a_claim_ahead()) >= 10, within_s=120)
    assert place.stop(runner) == 0
    for each in ran_after_a_claim_ahead():
        assert each["started"] >= each["scheduled_for"]
        assert each["lateness_s"] >= 0


def _claimed_at(execution: str) -> str:
    """Return the instant in an execution's id, in the form of the records."""
    at = datetime.fromtimestamp((UUID(execution).int >> 80) / 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
