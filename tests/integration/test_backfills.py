"""Backfills of a real loop whose clock the test moves: retries, groups, changed rules, waiting."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from datetime import datetime

import pytest
from support.clock_world import HOUR, MINUTE, NOON, GivenClock, Life, at, living
from support.place import Place, check_log, wait_until

from runner.commands import Answer, Command, CommandKind
from runner.errors import RefusedError
from runner.service.reload import catalog_switch

HOURLY = {"schedule": {"frequency": "hourly"}}
FIRES = tuple(NOON + number * HOUR for number in (1, 2, 3))

ALL = [(hour, "backfill", "success") for hour in (13, 14, 15)]


def asked(name: str = "a", fires: Sequence[datetime] = FIRES) -> Command:
    return Command(
        kind=CommandKind.BACKFILL, targets=(name,), fires=tuple(fires), requested_by="maria"
    )


def backfill(life: Life, name: str = "a", fires: Sequence[datetime] = FIRES) -> Answer:
    answer = life.runner.carry_out(asked(name, fires))
    life.settle()
    return answer


def go_until(
    life: Life, place: Place, expected: list[tuple[int, str, str]], name: str = "a"
) -> None:
    """Turn the loop until the backfill's executions have ended as expected."""

    def is_reached() -> bool:
        life.runner.turn()
        life.runner.wait(at_most_s=0.02)
        return len(order(place, name)) >= len(expected)

    wait_until(is_reached, what=f"{len(expected)} executions")
    assert order(place, name) == expected


def four_hours_later(place: Place, clock: GivenClock) -> None:
    """Let the fires of four hours run, with a runner of their own."""
    with living(place, clock) as life:
        life.go_on(4 * HOUR + MINUTE, by=HOUR)


def order(place: Place, name: str = "a") -> list[tuple[int, str, str]]:
    """Return the ended executions of the backfill: hour, channel and status."""
    return [
        (at(each, "scheduled_for").hour, str(each["channel"]), str(each["status"]))
        for each in place.finished(name)
        if each["requested_by"] == "maria" and each["group"] is None
    ]


def test_the_next_fire_waits_for_the_retries_of_the_former_one(place: Place) -> None:
    fails_once = 'test "$RUNNER_CHANNEL" != backfill'
    place.declare("a", fails_once, HOURLY, retry={"attempts": 2, "delay": "5m"})
    clock = GivenClock(NOON)
    four_hours_later(place, clock)
    with living(place, clock) as life:
        assert life.runner.carry_out(asked()).lines == ("a: 3 fires to run in turn",)
        expected = [(13, "backfill", "error")]
        for hour in (13, 14, 15):
            go_until(life, place, expected)
            life.clock.go_on(4 * MINUTE)
            for _ in range(3):
                life.runner.turn()
            assert order(place) == expected, "the retry waits for its time, and the next fire too"
            life.clock.go_on(MINUTE)
            expected += [(hour, "retry", "success"), (hour + 1, "backfill", "error")]
        go_until(life, place, expected[:-1])
        life.settle()
        assert not life.runner.registry.backfilling
    check_log(place.log)


def test_a_group_runs_all_its_members_for_each_fire(place: Place) -> None:
    place.write(
        "a.yaml",
        "process: {group: {members: [{name: one, shell: 'true'}, {name: two, shell: 'true'}]}}\n"
        "timing: {schedule: {frequency: hourly}}\n",
    )
    clock = GivenClock(NOON)
    four_hours_later(place, clock)
    with living(place, clock) as life:
        backfill(life)
        go_until(life, place, ALL)
    members = [
        (at(each, "scheduled_for").hour, each["process"])
        for each in place.events("execution.finished", channel="group")
        if each["requested_by"] == "maria"
    ]
    assert members == [(hour, f"a/{name}") for hour in (13, 14, 15) for name in ("one", "two")]


def test_a_changed_rule_leaves_a_backfill_as_it_was(place: Place) -> None:
    place.declare("a", "true", HOURLY)
    clock = GivenClock(NOON)
    four_hours_later(place, clock)
    with living(place, clock) as life:
        pause = Command(kind=CommandKind.PAUSE, is_for_all=True, reason="edit", requested_by="ana")
        assert life.runner.carry_out(pause).is_done
        assert backfill(life).lines == ("a: 3 fires to run in turn, after the pause",)
        assert order(place) == []
    place.declare("a", "true", {"schedule": {"frequency": "daily", "at": "03:00"}})
    with living(place, clock) as life:
        assert order(place) == []
        resume = Command(kind=CommandKind.RESUME, is_for_all=True, requested_by="ana")
        assert life.runner.carry_out(resume).is_done
        go_until(life, place, ALL)


def test_a_backfill_of_a_request_without_such_fires_is_refused(place: Place) -> None:
    place.declare("a", "true", HOURLY)
    place.declare("once", "true", "run_immediately")
    clock = GivenClock(NOON)
    four_hours_later(place, clock)
    with living(place, clock) as life:
        for name, fires, words in (
            ("b", FIRES, "no request 'b'"),
            ("once", FIRES, "only a schedule"),
            ("a", (), "1 to 1000 fires"),
            ("a", (NOON + 9 * HOUR,), "all of the past"),
        ):
            with pytest.raises(RefusedError, match=words):
                backfill(life, name, fires)
        assert order(place) == []


def test_a_removed_request_ends_its_backfill_and_says_what_was_left_out(place: Place) -> None:
    place.declare("a", "true", HOURLY)
    place.declare("b", "true", HOURLY)
    clock = GivenClock(NOON)
    four_hours_later(place, clock)
    with living(place, clock) as life:
        pause = Command(kind=CommandKind.PAUSE, is_for_all=True, reason="edit", requested_by="ana")
        assert life.runner.carry_out(pause).is_done
        backfill(life)
    (place.jobs / "a.yaml").unlink()
    with living(place, clock):
        pass
    (rest,) = place.finished("a", channel="backfill")
    assert (rest["status"], rest["reason"], rest["missed_count"]) == ("skipped", "unscheduled", 3)
    assert rest["message"] == "3 fires were left out of a backfill: its file is gone"
    check_log(place.log)


def test_a_backfill_goes_on_under_the_new_name_after_a_delivery_of_several_turns(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_switch, "MOST", 1)
    for name in ("a", "b", "c"):
        place.declare(name, "true", HOURLY)
    clock = GivenClock(NOON)
    four_hours_later(place, clock)
    with living(place, clock) as life:
        pause = Command(kind=CommandKind.PAUSE, is_for_all=True, reason="edit", requested_by="ana")
        assert life.runner.carry_out(pause).is_done
        backfill(life)
        (place.jobs / "a.yaml").unlink()
        for name in ("b", "c"):
            place.declare(name, "true", HOURLY, top={"description": "changed"})
        place.declare("z", "true", HOURLY, top={"formerly": "a"})
        os.kill(os.getpid(), signal.SIGHUP)

        def is_renamed() -> bool:
            life.clock.go_on(MINUTE)
            life.runner.turn()
            life.runner.wait(at_most_s=0.02)
            return set(life.runner.registry.requests) == {"b", "c", "z"}

        wait_until(is_renamed, what="the renaming")
        resume = Command(kind=CommandKind.RESUME, is_for_all=True, requested_by="ana")
        assert life.runner.carry_out(resume).is_done
        go_until(life, place, ALL, "z")
        assert not place.finished("a", channel="backfill")


def test_a_request_removed_while_the_runner_stops_ends_its_backfill_at_the_next_start(
    place: Place,
) -> None:
    place.declare("a", "true", HOURLY)
    place.declare("b", "true", HOURLY)
    clock = GivenClock(NOON)
    four_hours_later(place, clock)
    with living(place, clock) as life:
        pause = Command(kind=CommandKind.PAUSE, is_for_all=True, reason="edit", requested_by="ana")
        assert life.runner.carry_out(pause).is_done
        backfill(life)
        os.kill(os.getpid(), signal.SIGTERM)
        (place.jobs / "a.yaml").unlink()

        def is_removed() -> bool:
            life.clock.go_on(MINUTE)
            life.runner.turn()
            life.runner.wait(at_most_s=0.02)
            return "a" not in life.runner.registry.requests

        wait_until(is_removed, what="the removal of the request")
    with living(place, clock):
        pass
    (rest,) = place.finished("a", channel="backfill")
    assert (rest["status"], rest["reason"], rest["missed_count"]) == ("skipped", "unscheduled", 3)
    check_log(place.log)
