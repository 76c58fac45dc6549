"""`monitor`: running executions, members of groups, Openbravo's columns, narrow terminals."""

from __future__ import annotations

import json
import re
import signal

import pytest
from support.place import GATE, Place, end_of, wait_until

GROUP = {
    "process": {
        "group": {
            "members": [{"name": "extract", "shell": f"echo out; {GATE}"}, {"request": "backup"}]
        }
    },
    "context": {"client": "acme"},
}
COLUMNS = "PROCESS GROUP USER STARTED ENDED DURATION STATUS CHANNEL EXECUTION RESULT"


def _group(place: Place) -> None:
    place.declare("backup", "echo saved")
    place.write("month-end.yaml", json.dumps(GROUP))


def _statuses(place: Place, *arguments: str) -> list[tuple[str, str]]:
    return [(record["request"], record["status"]) for record in place.items("monitor", *arguments)]


def test_the_monitor_shows_a_running_execution_as_processing_and_then_its_result(
    place: Place,
) -> None:
    place.declare("done", "true")
    place.declare("slow", GATE)
    with place.acted_on():
        place.run("exec", "done")
    runner = place.start()
    command = place.begin("exec", "slow")
    (started,) = wait_until(lambda: place.events("execution.started", "slow"))
    running = [("slow", "processing")]
    assert _statuses(place) == [("done", "success"), *running]
    assert _statuses(place, "--newest-first") == [*running, ("done", "success")]
    assert _statuses(place, "--status", "processing", "--request", "slow") == running
    assert _statuses(place, "-n", "1") == running
    assert _statuses(place, "--status", "success") == [("done", "success")]
    assert _statuses(place, "--request", "done", "--status", "processing") == []
    (shown,) = place.items("monitor", "--status", "processing")
    assert shown == {name: value for name, value in started.items() if name != "id"}
    text = place.run("monitor", "--status", "processing").stdout
    assert f"processing  -         slow     direct   {started['execution']}" in text
    place.open_gate()
    assert end_of(command)[0] == 0
    place.await_finished("slow")
    assert _statuses(place) == [("done", "success"), ("slow", "success")]
    assert place.stop(runner) == 0


def test_executions_of_a_killed_runner_are_processing_until_the_next_start(place: Place) -> None:
    place.declare("slow", GATE, "run_immediately")
    runner = place.start()
    wait_until(lambda: place.events("execution.started", "slow"))
    runner.kill()
    runner.wait()
    (shown,) = place.items("monitor")
    assert shown["status"] == "processing"
    assert shown["message"] == "its runner ended; the next start records the execution's end"


@pytest.mark.parametrize("is_about_starts", [False, True])
def test_monitor_follow_begins_with_running_executions_and_shows_each_once(
    place: Place, is_about_starts: bool
) -> None:
    place.declare("slow", GATE)
    place.declare("quick", "true")
    runner = place.start()
    slow = place.begin("exec", "slow")
    wait_until(lambda: place.events("execution.started", "slow"))
    following = place.begin(
        "monitor", "-f", "-o", "json", *(["--status", "processing"] if is_about_starts else [])
    )
    assert following.stdout is not None
    seen = [json.loads(following.stdout.readline())]
    place.run("exec", "quick")
    seen.append(json.loads(following.stdout.readline()))
    place.open_gate()
    assert end_of(slow)[0] == 0
    if not is_about_starts:
        seen.append(json.loads(following.stdout.readline()))
    following.send_signal(signal.SIGINT)
    assert end_of(following) == (0, b"", "")
    reported = [(record["request"], record["status"]) for record in seen]
    ends = [("quick", "success"), ("slow", "success")]
    assert reported == [
        ("slow", "processing"),
        *([("quick", "processing")] if is_about_starts else ends),
    ]
    assert place.stop(runner) == 0


def test_wide_shows_the_originals_columns(place: Place) -> None:
    _group(place)
    place.open_gate()
    with place.acted_on():
        assert place.run("exec", "month-end").returncode == 0
    head, *lines = place.run("monitor", "--wide", "--newest-first").stdout.splitlines()
    assert head.split() == COLUMNS.split()
    cells = [re.split(r"  +", line) for line in lines]
    assert [(each[0], each[1], each[2]) for each in cells] == [
        ("month-end", "-", place.person),
        ("backup", "month-end", place.person),
        ("extract", "month-end", place.person),
    ]
    for each in cells:
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", each[5])
    assert [(each[6], each[7], each[9]) for each in cells] == [
        ("success", "direct", "-"),
        ("success", "group", "exit code 0"),
        ("success", "group", "exit code 0"),
    ]
    row = place.shown_on_terminal("monitor", "--wide", columns=200).splitlines()[-1]
    begun, ended = re.split(r"  +", row)[3:5]
    assert len(begun) == len(ended) == len("12:00:00"), "on a terminal both are short"


def test_a_monitor_without_executions_says_so(place: Place) -> None:
    place.declare("tick", "true")
    assert place.run("monitor").stderr == "nothing has run yet\n"
    with place.acted_on():
        place.run("exec", "tick")
    assert place.run("monitor").stderr == ""
    assert place.run("monitor", "--status", "error").stderr == "no execution matches\n"
    assert "tick" in place.run("monitor", "--request", "tock").stderr


# --- members
# --------------------------------------------------------------------------------------


def test_a_member_is_shown_with_its_group_and_found_by_either_name(place: Place) -> None:
    _group(place)
    place.open_gate()
    runner = place.start()
    assert place.run("exec", "month-end").returncode == 0
    assert place.run("exec", "backup").returncode == 0
    names = [line.split("  ")[3:] for line in place.run("monitor").stdout.splitlines()]
    assert names
    shown = place.run("monitor").stdout
    for name in ("month-end › extract ", "month-end › backup ", "month-end  ", "backup  "):
        assert f" {name}" in shown
    wait_until(lambda: "✓ month-end › extract  success" in place.console())

    def processes(name: str) -> list[str]:
        return [record["process"] for record in place.items("monitor", "--request", name)]

    assert processes("month-end") == ["month-end/extract", "backup", "month-end"]
    assert processes("extract") == processes("month-end › extract") == ["month-end/extract"]
    assert processes("backup") == ["backup", "backup"]
    assert processes("month-end › backup") == ["backup"]
    for name, output in (
        ("month-end", "out\nsaved\n"),
        ("extract", "out\n"),
        ("month-end › extract", "out\n"),
        ("month-end/extract", "out\n"),
        ("backup", "saved\n"),
    ):
        assert place.run("log", name).stdout == output, name
    (member,) = place.items("monitor", "--request", "extract")
    at = member["scheduled_for"][:19].replace("T", " ")
    for name in ("extract", "month-end › extract"):
        (why,) = place.items("explain", name, "--at", at)
        assert (why["request"], why["member"], why["executions"]) == (
            "month-end",
            "extract",
            [member["execution"]],
        )
    assert place.run("explain", "extract").stdout.startswith("extract is a member of month-end: ")
    assert place.run("explain", "extract", "--at", at).stdout.startswith("month-end › extract at ")
    assert place.stop(runner) == 0


@pytest.mark.parametrize("name", ["extract", "month-end › extract", "an id"])
def test_a_running_member_is_killed_by_its_name_and_its_group_continues(
    place: Place, name: str
) -> None:
    _group(place)
    runner = place.start()
    command = place.begin("exec", "month-end")
    wait_until(lambda: place.events("execution.started", process="month-end/extract"))
    (member,) = place.items("monitor", "--request", "extract")
    end = member["execution"][-8:]
    killed = place.run("kill", end if name == "an id" else name)
    assert killed.stdout == f"month-end › extract: killing {member['execution']}\n"
    assert end_of(command)[0] == 1
    ended = [(record["process"], record["status"]) for record in place.events("execution.finished")]
    assert ended == [("month-end/extract", "killed"), ("backup", "success"), ("month-end", "error")]
    assert place.stop(runner) == 0


def test_kill_refuses_a_name_that_members_of_two_groups_share(place: Place) -> None:
    for name in ("north", "south"):
        members = [{"name": "extract", "shell": GATE}]
        place.write(
            f"{name}.yaml",
            json.dumps({"process": {"group": {"members": members}}, "timing": "run_immediately"}),
        )
    runner = place.start()
    wait_until(lambda: len(place.events("execution.started")) == 4)
    refused = place.run("kill", "extract")
    assert refused.returncode == 1
    assert refused.stdout.startswith("extract: refused, it is ambiguous: ")
    explained = place.run("explain", "extract")
    assert (explained.returncode, explained.stderr) == (
        2,
        "runner: 'extract' is ambiguous: north › extract, south › extract\n",
    )
    place.open_gate()
    place.await_finished("north", status="success", count=2)
    place.await_finished("south", status="success", count=2)
    assert place.stop(runner) == 0


# --- terminals
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 60])
def test_on_a_terminal_lines_fit_its_width_and_ids_are_short(place: Place, columns: int) -> None:
    place.declare(
        "a-request-with-quite-a-long-name-for-a-table", "echo; exit 3", retry={"attempts": 1}
    )
    place.declare("other", "exit 0", directory="/no/such/folder/" + "deep/" * 30)
    with place.acted_on():
        for name in ("a-request-with-quite-a-long-name-for-a-table", "other"):
            place.run("exec", name)
    (failed, other) = place.finished(
        "a-request-with-quite-a-long-name-for-a-table"
    ) + place.finished("other")
    for command in (("monitor",), ("ls",), ("next",)):
        shown = place.shown_on_terminal(*command, columns=columns)
        assert all(len(line) <= columns for line in shown.splitlines()), shown
    with place.on_terminal("monitor", "-f", columns=columns) as terminal:
        wait_until(lambda: terminal.shown().count("error") == 2)
        assert all(len(line) <= columns for line in terminal.shown().splitlines()), terminal.shown()
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.ended() == 0
    shown = place.shown_on_terminal("monitor", columns=columns)
    assert failed["execution"][-8:] in shown
    assert failed["execution"] not in shown
    assert re.search(r"\d\d:\d\d:\d\d  error ", shown)
    piped = place.run("monitor").stdout
    assert other["message"] in piped
    assert other["execution"] in piped, "a pipe gets everything in full"
    assert max(map(len, place.shown_on_terminal("monitor", "--wide").splitlines())) > 80
