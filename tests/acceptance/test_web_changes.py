"""What a person changes on the page is in the monitor log, and only that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from support.place import GATE, Place, check_log, wait_until

from runner.commands import Answer, Command, CommandKind, ask

BY = "web:maria"
DAILY = {"schedule": {"frequency": "daily", "at": "02:00"}}


def pressed(place: Place, kind: CommandKind, *targets: str, **more: object) -> Answer:
    command = Command(kind=kind, targets=targets, requested_by=BY, **more)  # type: ignore[arg-type]
    answer = ask(place.store, command)
    place.await_log()
    return answer


def test_each_change_is_recorded_with_its_person_and_nothing_else_is(place: Place) -> None:
    place.declare("nightly", GATE, DAILY)
    place.declare("fails", "false", "run_immediately")
    runner = place.start()
    place.await_finished("fails")
    wait_until(lambda: place.events("alert.opened"))
    later = datetime.now(UTC) + timedelta(hours=1)
    pressed(place, CommandKind.UNSCHEDULE, "nightly")
    pressed(place, CommandKind.UNSCHEDULE, "nightly")  # changes nothing
    pressed(place, CommandKind.SCHEDULE, "nightly")
    execution = pressed(place, CommandKind.EXEC, "nightly").data["execution"]
    place.await_started("nightly")
    assert pressed(place, CommandKind.KILL, execution).is_done
    place.await_finished("nightly", status="killed")
    assert not pressed(place, CommandKind.KILL, execution).is_done
    assert not pressed(place, CommandKind.SCHEDULE, "nothing").is_done
    pressed(place, CommandKind.ACKNOWLEDGE, "fails", until=later)
    pressed(place, CommandKind.PAUSE, is_for_all=True, reason="month end")
    pressed(place, CommandKind.RESUME, is_for_all=True)
    pressed(place, CommandKind.RELOAD)  # finds no change
    place.write("new.yaml", "process: {shell: 'true'}\n")
    wait_until(lambda: pressed(place, CommandKind.RELOAD) and place.events("runner.reloaded"))
    assert place.run("unschedule", "nightly").returncode == 0  # not on the page
    assert place.stop(runner) == 0
    changes = [
        (each["action"], each["request"], each["targets"])
        for each in place.events("web.changed")
        if each["action"] != "reload"  # the runner may have read the file by itself first
    ]
    assert changes == [
        ("unschedule", "nightly", ["nightly"]),
        ("schedule", "nightly", ["nightly"]),
        ("exec", "nightly", ["nightly"]),
        ("kill", "nightly", [execution]),
        ("acknowledge", "fails", ["fails"]),
        ("pause", None, None),
        ("resume", None, None),
    ]
    assert {each["requested_by"] for each in place.events("web.changed")} == {BY}
    (started,) = place.await_started("nightly")
    assert (started["requested_by"], started["requested_via"]) == (BY, "web")
    wait_until(lambda: "nightly  exec by web:maria" in place.console())
    check_log(place.log)


def test_a_refused_command_of_the_page_leaves_no_record(place: Place) -> None:
    place.declare("nightly", "true", DAILY)
    runner = place.start()
    assert not pressed(place, CommandKind.PAUSE, "nothing", reason="x").is_done
    assert not pressed(place, CommandKind.EXEC, "nothing").is_done
    assert place.stop(runner) == 0
    assert place.events("web.changed") == []
