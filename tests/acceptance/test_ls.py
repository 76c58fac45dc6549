"""`ls`: the last result of each request, its schedule in words, and only columns that
say something.
"""

from __future__ import annotations

import json
import re

from support.place import GATE, SECONDLY, Place, end_of, wait_until

DAILY = {"schedule": {"frequency": "daily", "at": "02:00", "timezone": "Europe/Madrid"}}


def _results(place: Place, *options: str) -> dict[str, str | None]:
    return {item["request"]: item["last_status"] for item in place.items("ls", *options)}


def test_ls_shows_the_last_result_of_each_request_and_failing_ones_in_red(place: Place) -> None:
    place.declare("bad", "exit 3", DAILY)
    place.declare("good", "true", DAILY)
    place.declare("never", "true", DAILY)
    place.declare("gone", "true", directory="nowhere")
    members = [{"name": "a", "shell": "true"}, {"name": "b", "shell": "exit 1"}]
    place.write(
        "group.yaml",
        json.dumps({"process": {"group": {"members": members, "stop_on_failure": True}}}),
    )
    runner = place.start()
    for name in ("good", "bad", "gone", "group"):
        place.run("exec", name)
    expected = {"bad": "error", "gone": "error", "good": "success", "group": "error", "never": None}
    assert _results(place) == expected
    assert place.stop(runner) == 0
    assert place.stop(place.start()) == 0
    assert _results(place) == expected, "results outlive the runner"
    (item,) = (each for each in place.items("ls") if each["request"] == "bad")
    (record,) = place.finished("bad")
    assert item["last_ended"] == record["ended"]
    assert item["timing"] == "every day at 02:00 (Europe/Madrid)"
    assert list(_results(place, "--failing")) == ["bad", "gone", "group"]

    del place.environment["NO_COLOR"]
    shown = place.shown_on_terminal("ls", columns=120)
    (bad,) = (line for line in shown.splitlines() if "bad" in line)
    (good,) = (line for line in shown.splitlines() if "good" in line)
    assert "\x1b[31mbad\x1b[0m" in bad
    assert "\x1b[31merror\x1b[0m " in bad
    assert "\x1b[32msuccess\x1b[0m " in good
    assert "\x1b[31m" not in good
    assert "every day at 02:00 (Europe/Madrid)" in good


def test_a_skipped_fire_and_a_running_execution_leave_the_last_result_alone(place: Place) -> None:
    place.declare("tick", "true", prevent_concurrent=True)
    place.run("exec", "tick")
    runner = place.start()
    assert place.run("exec", "tick").returncode == 0
    assert _results(place) == {"tick": "success"}
    place.declare("tick", f"{GATE}; exit 1", SECONDLY, prevent_concurrent=True)
    place.await_finished("tick", status="skipped")
    assert _results(place) == {"tick": "success"}
    place.open_gate()
    place.await_finished("tick", status="error")
    wait_until(lambda: _results(place) == {"tick": "error"})
    assert place.stop(runner) == 0


def test_an_execution_by_exec_before_the_first_runner_is_the_last_result(place: Place) -> None:
    place.declare("bad", "exit 3", DAILY)
    place.declare("gone", "true", directory="nowhere")
    with place.acted_on():
        for name in ("bad", "gone"):
            place.run("exec", name)
    expected: dict[str, str | None] = {"bad": "error", "gone": "error"}
    assert _results(place) == expected
    assert place.stop(place.start()) == 0
    assert _results(place) == expected
    place.declare("bad", "true", DAILY)
    with place.acted_on():
        place.run("exec", "bad")
    assert _results(place) == {"bad": "success", "gone": "error"}


def test_a_renamed_request_keeps_its_last_result(place: Place) -> None:
    old = place.declare("old", "exit 1", DAILY)
    runner = place.start()
    place.run("exec", "old")
    old.unlink()
    place.declare("new", "exit 1", DAILY, top={"formerly": "old"})
    place.run("reload")
    assert _results(place) == {"new": "error"}
    assert place.stop(runner) == 0


def test_an_execution_that_outlives_a_rename_is_the_result_of_the_new_name(place: Place) -> None:
    old = place.declare("old", f"{GATE}; exit 1", DAILY)
    runner = place.start()
    command = place.begin("exec", "old")
    wait_until(lambda: place.events("execution.started", "old"))
    old.unlink()
    place.declare("new", "true", DAILY, top={"formerly": "old"})
    place.run("reload")
    place.open_gate()
    assert end_of(command)[0] == 1
    assert _results(place) == {"new": "error"}
    assert place.stop(runner) == 0


def test_the_file_is_shown_only_where_its_stem_differs_from_the_name(place: Place) -> None:
    place.declare("plain", "true", DAILY)
    head, _ = place.run("ls").stdout.splitlines()
    assert head.split("  ")[0] == "NAME"
    assert "FILE" not in head
    assert "NOTE" not in head
    place.write("team/other.yaml", "name: other\nprocess: {shell: 'true'}\n")
    head, other, plain = place.run("ls").stdout.splitlines()
    assert "FILE" in head
    assert "team/other.yaml" in other
    assert "plain.yaml" not in plain


def test_on_a_narrow_terminal_a_note_is_shown_whole_below_the_table(
    place: Place,
) -> None:
    place.declare("nightly", "true", DAILY)
    runner = place.start()
    place.run("unschedule", "nightly")
    (note,) = (item["drift"] for item in place.items("ls"))
    table, notes = place.shown_on_terminal("ls", columns=80).split("\n\n")
    assert "NOTE" not in table
    assert notes.rstrip() == f"nightly: {note}"
    assert "NOTE" in place.shown_on_terminal("ls", columns=250)
    assert "NOTE" in place.run("ls").stdout
    assert place.stop(runner) == 0


def test_at_80_columns_names_and_results_stay_whole_beside_a_drift_note(
    place: Place,
) -> None:
    place.declare("backup-before-2038", "true", DAILY)
    place.declare("nightly", "true", DAILY)
    runner = place.start()
    place.run("exec", "backup-before-2038")
    place.run("unschedule", "nightly")
    head, first, *_ = place.shown_on_terminal("ls", columns=80).splitlines()
    assert "SYNC" not in head
    assert first.startswith("backup-before-2038 ")
    assert re.search(r" success \d\d:\d\d:\d\d ", first)
    assert place.stop(runner) == 0


def test_explain_says_that_an_invalid_file_keeps_its_last_good_version(place: Place) -> None:
    place.declare("nightly", "true", DAILY)
    runner = place.start()
    place.write(
        "nightly.yaml", "process: {shell: 'true'}\ntiming: {schedule: {frequency: dayly}}\n"
    )
    assert "nightly is scheduled: by the last good version; its file is invalid" in (
        place.run("explain", "nightly").stdout
    )
    assert place.stop(runner) == 0


def test_a_note_shows_both_that_a_request_is_invalid_and_that_it_is_unscheduled(
    place: Place,
) -> None:
    place.declare("nightly", "true", DAILY)
    runner = place.start()
    assert place.run("unschedule", "nightly").returncode == 0
    place.write("nightly.yaml", "process: {shell: 5}\n")
    wait_until(lambda: place.events("request.rejected"))
    listed = place.run("ls").stdout
    assert "`shell` should be" in listed
    assert f"unscheduled by {place.person} at " in listed
    assert place.stop(runner) == 0
