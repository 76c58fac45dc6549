"""A fire that is claimed a few milliseconds ahead starts at its time, or never.

The loop and its processes are real; the test moves the clock, so the moment between the
claim and the start lasts as long as the test needs it.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from support.clock_world import GivenClock, Life, living
from support.place import GATE, Place, check_log, wait_until

from runner.planning.fires.claims_ahead import AHEAD
from runner.service.registry import FEW
from runner.store.opening import mailbox_of
from runner.store.rows import CommandRow, CommandStatus
from runner.values import new_id, to_microseconds

TEN = datetime(2027, 3, 2, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAILY = {"schedule": {"frequency": "daily", "at": "10:00"}}
RAN = "echo $RUNNER_REQUEST >> ../ran"


@contextmanager
def just_before(place: Place) -> Iterator[Life]:
    """Start a runner a second before ten, and go on to the last moment before it."""
    with living(place, GivenClock(TEN - SECOND)) as life:
        life.clock.go_on(SECOND - AHEAD)
        life.runner.turn()
        yield life


def claimed(place: Place) -> list[tuple[str, str]]:
    """Return request and phase of the executions in the store."""
    with closing(sqlite3.connect(place.state / "store.sqlite3")) as connection:
        return connection.execute("SELECT request, phase FROM executions").fetchall()


def runs(place: Place) -> list[str]:
    ledger = place.folder / "ran"
    return ledger.read_text().split() if ledger.exists() else []


def order(place: Place, life: Life, kind: str, target: str) -> None:
    """Give a command, and let the loop take it at the same moment."""
    command = post(place, life, kind, target)
    wait_until(lambda: _is_answered(place, life, command), what=f"the answer to {kind}")


def post(place: Place, life: Life, kind: str, target: str) -> str:
    row = CommandRow(
        id=new_id(),
        kind=kind,
        arguments=json.dumps({"targets": [target], "is_for_all": False, "allow_empty": False}),
        requested_by="maria",
        deadline=to_microseconds(life.clock.now()) + 60_000_000,
        status=CommandStatus.PENDING,
    )
    mailbox_of(place.store).post(row)
    return row.id


def _is_answered(place: Place, life: Life, command: str) -> bool:
    life.runner.wait(at_most_s=0)
    life.runner.turn()
    return mailbox_of(place.store).answer_to(command) is not None


def reload(place: Place, life: Life) -> None:
    """Let the loop read the folder at the same moment."""
    before = len(place.events("runner.reloaded"))
    os.kill(os.getpid(), signal.SIGHUP)

    def is_reloaded() -> bool:
        life.runner.wait(at_most_s=0.01)
        life.clock.passed_s += 0.0001  # the folder counts as still after some elapsed time
        life.runner.turn()
        return len(place.events("runner.reloaded")) > before

    wait_until(is_reloaded, what="runner.reloaded")


def end_of(place: Place, request: str) -> tuple[str, str | None, str | None]:
    (record,) = place.finished(request)
    return record["status"], record["reason"], record["started"]


def test_a_fire_is_committed_ahead_and_starts_at_its_time(place: Place) -> None:
    place.declare("a", RAN, DAILY)
    with just_before(place) as life:
        assert claimed(place) == [("a", "starting")]
        life.clock.go_on(AHEAD - timedelta(microseconds=1))
        life.runner.turn()
        assert not life.runner.in_progress.starting
        assert life.runner.in_progress.claimed_ahead.next_s() is not None
        life.clock.go_on(timedelta(microseconds=1))
        life.settle()
    (record,) = place.finished("a")
    assert (record["status"], record["lateness_s"]) == ("success", 0.0)
    assert record["scheduled_for"] == record["started"] == "2027-03-02T10:00:00.000000Z"
    assert runs(place) == ["a"]


@pytest.mark.parametrize("step", [-30 * SECOND, 30 * SECOND, timedelta(hours=-3)], ids=str)
def test_a_step_of_the_clock_neither_hastens_nor_delays_its_start(
    place: Place, step: timedelta
) -> None:
    place.declare("a", RAN, DAILY)
    with just_before(place) as life:
        life.clock.step(step)
        life.runner.turn()
        assert claimed(place) == [("a", "starting")]
        life.clock.go_on(AHEAD)
        life.settle()
    assert runs(place) == ["a"]
    assert [record["status"] for record in place.finished("a")] == ["success"]


def test_unscheduled_before_its_time_it_never_starts(place: Place) -> None:
    place.declare("a", RAN, DAILY)
    with just_before(place) as life:
        order(place, life, "unschedule", "a")
        assert claimed(place) == []
        life.clock.go_on(SECOND)
        life.settle()
    assert end_of(place, "a") == ("skipped", "unscheduled", None)
    assert runs(place) == []


def test_killed_before_its_time_it_never_starts(place: Place) -> None:
    place.declare("a", RAN, DAILY)
    with just_before(place) as life:
        order(place, life, "kill", "a")
        life.clock.go_on(SECOND)
        life.settle()
    assert end_of(place, "a") == ("killed", "killed_by_user", None)
    assert runs(place) == []


@pytest.mark.parametrize("ahead", [AHEAD, timedelta(0)], ids=["ahead", "at its time"])
def test_killed_in_the_turn_of_its_claim_it_never_starts(place: Place, ahead: timedelta) -> None:
    place.declare("a", RAN, DAILY)
    with living(place, GivenClock(TEN - SECOND)) as life:
        life.clock.go_on(SECOND - ahead)
        order(place, life, "kill", "a")
        life.clock.go_on(SECOND)
        life.settle()
    assert end_of(place, "a") == ("killed", "killed_by_user", None)
    assert runs(place) == []


def test_a_stop_before_its_time_keeps_it_from_starting(place: Place) -> None:
    place.declare("a", RAN, DAILY)
    with just_before(place) as life:
        os.kill(os.getpid(), signal.SIGTERM)
        life.runner.wait(at_most_s=0)
        life.runner.turn()
        life.clock.go_on(SECOND)
        life.settle()
    assert end_of(place, "a") == ("killed", "runner_stopped", None)
    assert runs(place) == []


def remove(place: Place) -> None:
    (place.jobs / "a.yaml").unlink()


def rename(place: Place) -> None:
    remove(place)
    place.declare("b", RAN, DAILY, top={"formerly": "a"})


Edit = Callable[[Place], object]
WEEKLY = {"schedule": {"frequency": "weekly", "days": ["friday"], "at": "10:00"}}
EDITS: dict[str, tuple[Edit, str, str]] = {
    "removed": (remove, "skipped", ""),
    "new rule": (lambda place: place.declare("a", RAN, WEEKLY), "skipped", ""),
    "unscheduled": (
        lambda place: place.declare("a", RAN, DAILY, top={"scheduled": False}),
        "skipped",
        "",
    ),
    "new process": (lambda place: place.declare("a", "echo b >> ../ran", DAILY), "success", "a"),
    "renamed": (rename, "success", "a"),
}


@pytest.mark.parametrize(("edit", "status", "ran"), EDITS.values(), ids=EDITS)
def test_a_reload_before_its_time_keeps_it_from_starting_only_if_it_is_planned_anew(
    place: Place, edit: Edit, status: str, ran: str
) -> None:
    place.declare("a", RAN, DAILY)
    place.declare("other", "true")  # a folder without files counts as lost
    with just_before(place) as life:
        edit(place)
        reload(place, life)
        life.clock.go_on(SECOND)
        life.settle()
    assert [record["status"] for record in place.finished("a")] == [status]
    assert runs(place) == ran.split()


def test_a_runner_that_dies_before_its_time_leaves_a_record_that_it_never_ran(
    place: Place,
) -> None:
    place.declare("a", RAN, DAILY)
    place.declare("b", RAN, {"run_later": {"start": TEN.strftime("%Y-%m-%d %H:%M")}})
    with just_before(place):
        assert sorted(claimed(place)) == [("a", "starting"), ("b", "starting")]
    with living(place, GivenClock(TEN + SECOND)):
        pass
    for request in ("a", "b"):
        assert end_of(place, request) == ("system_restart", "runner_lost", None)
        (record,) = place.finished(request)
        assert record["message"] == "the runner ended before it could start this; it never ran"
    assert runs(place) == []
    check_log(place.log)


def declare_burst(place: Place) -> list[str]:
    """Write more requests than the first decision about a burst takes; return their names."""
    names = [f"r{number:02}" for number in range(FEW + 3)]
    for name in names:
        place.declare(name, RAN, DAILY)
    return names


def test_of_a_burst_a_few_start_at_their_time_before_the_rest_is_decided(place: Place) -> None:
    names = declare_burst(place)
    with just_before(place) as life:
        assert [request for request, _ in claimed(place)] == names[:FEW]
        life.runner.turn()
        assert [request for request, _ in claimed(place)] == names[:FEW]
        life.clock.go_on(AHEAD)
        life.settle()
    assert sorted(runs(place)) == names
    assert {record["lateness_s"] for record in place.events("execution.finished")} == {0.0}


def test_a_command_amid_a_burst_leaves_all_that_is_due_its_verdict(place: Place) -> None:
    names = declare_burst(place)
    with living(place, GivenClock(TEN - SECOND)) as life:
        life.clock.go_on(SECOND)
        post(place, life, "unschedule", names[-1])
        life.runner.wait(at_most_s=0)
        life.settle()
    assert sorted(runs(place)) == names
    (end,) = place.finished(names[-1])
    assert (end["status"], end["channel"]) == ("success", "process_scheduler")
    assert [each["requested_by"] for each in place.events("request.unscheduled")] == ["maria"]


def test_a_guard_that_becomes_free_in_the_last_moment_does_not_cost_the_fire(
    place: Place,
) -> None:
    place.declare("a", GATE, DAILY, prevent_concurrent=True)
    with living(place, GivenClock(TEN - SECOND)) as life:
        order(place, life, "exec", "a")
        (busy,) = life.runner.in_progress
        life.clock.go_on(SECOND - AHEAD)
        life.runner.turn()
        assert [each.id for each in life.runner.in_progress] == [busy.id]
        place.open_gate()
        life.settle()
        life.clock.go_on(AHEAD)
        life.settle()
    assert [record["channel"] for record in place.finished("a", status="success")] == [
        "direct",
        "process_scheduler",
    ]


def test_a_group_begins_at_its_time_and_not_ahead(place: Place) -> None:
    members = [{"name": "first", "shell": RAN}, {"name": "second", "shell": RAN}]
    place.write("g.yaml", json.dumps({"process": {"group": {"members": members}}, "timing": DAILY}))
    with just_before(place) as life:
        assert claimed(place) == []
        life.clock.go_on(AHEAD)
        life.settle()
    assert [record["status"] for record in place.finished("g")] == ["success"] * 3
    assert {record["started"] for record in place.events("execution.started", "g")} == {
        "2027-03-02T10:00:00.000000Z"
    }
