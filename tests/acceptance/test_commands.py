"""`schedule`, `kill`, `reload`, `status` and commands that read files: with a runner,
without one, several at a time.
"""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from support.place import GATE, IMPOSTOR, SECONDLY, Place, acts_alone, end_of, wait_until
from support.store_activity import has_posted

from runner.store.lock import take_lock
from runner.store.sqlite.connection import create_file, database_path

DAILY = {"schedule": {"frequency": "daily", "at": "02:00"}}


# --- kill
# --------------------------------------------------------------------------------------


def test_a_waiting_execution_can_be_killed_and_the_runner_continues(place: Place) -> None:
    place.declare("slow", GATE)
    place.declare("waits", "true")
    runner = place.start("--max-running", "1")
    first = place.begin("exec", "slow")
    wait_until(lambda: place.events("execution.started", "slow"), what="slow has started")
    second = place.begin("exec", "waits")
    (waiting,) = wait_until(lambda: place.items("status")[0]["waiting"], what="one waits")

    killed = place.run("kill", "waits", "waits", waiting["execution"])
    assert (killed.returncode, killed.stdout) == (0, f"waits: killing {waiting['execution']}\n" * 2)
    assert end_of(second) == (
        1,
        b"",
        f"runner: waits: killed by {place.person} while it waited to start\n",
    )
    (record,) = place.await_finished(
        "waits"
    )  # the command reads it from the store, perhaps before the log has it
    assert (record["status"], record["reason"], record["started"]) == (
        "killed",
        "killed_by_user",
        None,
    )

    place.open_gate()
    assert end_of(first)[0] == 0
    assert place.stop(runner) == 0


def test_kill_tells_a_request_that_does_not_run_from_a_name_that_nothing_has(place: Place) -> None:
    place.declare("long", "true")
    place.write("broken.yaml", "process: {shell: 5}\n")
    place.start()
    refused = place.run("kill", "long", "broken", "lnog", "nothing-like-it")
    assert refused.returncode == 1
    idle, invalid, *unknown = refused.stdout.splitlines()
    assert idle == "long is not running"
    assert invalid.startswith("broken is not running; 'broken' has no valid version: ")
    assert "broken.yaml:1:18: `shell` should be text" in invalid
    assert unknown == [
        "there is no request or execution 'lnog'; did you mean 'long'?",
        "there is no request or execution 'nothing-like-it'",
    ]


def test_kill_takes_a_name_or_the_beginning_of_an_id_and_records_who_killed(place: Place) -> None:
    for name in ("one", "two", "three"):
        place.declare(name, GATE, "run_immediately")
    place.add_worker()
    place.start()
    started = wait_until(lambda: len(found := place.events("execution.started")) == 3 and found)
    identity = {record["request"]: record["execution"] for record in started}
    shared = os.path.commonprefix(list(identity.values()))  # noqa: RUF071 - characters are what is meant
    killed = place.run("kill", "one", identity["two"][:-1], "nobody", shared)
    assert killed.returncode == 1
    *lines, ambiguous = killed.stdout.splitlines()
    assert lines == [
        f"one: killing {identity['one']}",
        f"two: killing {identity['two']}",
        "there is no request or execution 'nobody'",
    ]
    assert ambiguous.startswith(f"{shared}: ")
    assert "killing" not in ambiguous
    for name in ("one", "two"):
        (record,) = place.await_finished(name)
        assert (record["status"], record["reason"], record["signal"]) == (
            "killed",
            "killed_by_user",
            15,
        )
        assert (record["message"], record["requested_by"]) == (
            f"killed by {place.person}",
            place.person,
        )
    assert not place.finished("three")
    place.run("kill", "three")


# --- schedule, unschedule, reschedule
# --------------------------------------------------------------------------------------


def test_reschedule_named_twice_runs_a_one_time_request_exactly_once_more(place: Place) -> None:
    place.declare("once", "echo ran", "run_immediately")
    place.start()
    place.await_finished("once")
    assert place.run("reschedule", "once", "once").stdout == "once: rescheduled\n"
    place.await_finished("once", count=2)
    # The runner claims due fires before it answers this.
    assert place.run("reload").stdout == "nothing changed\n"
    assert len(place.events("execution.started", "once")) == 2
    assert [record["requested_by"] for record in place.events("request.rescheduled")] == [
        place.person
    ]
    (item,) = place.items("ls")
    assert (item["status"], item["drift"]) == ("complete", None)


def test_an_execution_records_who_asked_for_it_and_the_owner_of_the_request(place: Place) -> None:
    about: dict[str, object] = {"owner": "finance", "labels": {"tier": "gold"}}
    place.declare("once", "true", "run_immediately", top=about)
    place.declare(
        "off",
        "exit 1",
        SECONDLY,
        top={**about, "scheduled": False},
        retry={"attempts": 2, "delay": "0s"},
    )
    place.declare("on", "true", SECONDLY, top=about)
    members = [{"name": "a", "shell": "true"}]
    document = {"process": {"group": {"members": members}}, "timing": "run_immediately", **about}
    place.write("group.yaml", json.dumps(document))
    runner = place.start()
    place.await_finished("once")
    place.await_finished("group", count=2)
    assert place.run("reschedule", "once", "group").returncode == 0
    assert place.run("schedule", "off").returncode == 0
    place.await_finished("once", count=2)
    place.await_finished("group", count=4)
    place.await_finished("off", attempt=2)
    place.await_finished("on")
    assert _asked_by(place, "once") == [None, place.person]
    assert _asked_by(place, "group") == [None, None, place.person, place.person]
    assert set(_asked_by(place, "off")) == {place.person}
    assert set(_asked_by(place, "on")) == {None}, "a fire by the file has no requester"
    assert place.stop(runner) == 0
    for record in place.events("execution.finished"):
        assert (record["owner"], record["labels"]) == ("finance", {"tier": "gold"})


@acts_alone
def test_a_changed_file_overrides_a_persons_command(place: Place) -> None:
    for name in ("token", "rule", "kept"):
        place.declare(name, "true", SECONDLY)
    assert place.run("reschedule", "token", "rule", "kept").returncode == 0
    runner = place.start()
    for name in ("token", "rule", "kept"):
        place.await_finished(name, requested_by=place.person)
    place.declare("token", "true", SECONDLY, top={"reschedule": "again"})
    place.declare("rule", "true", {"schedule": {"frequency": "cron", "expression": "* * * * * *"}})
    place.declare("kept", "echo edited", SECONDLY)
    place.await_finished("token", requested_by=None)
    place.await_finished("rule", requested_by=None)
    place.await_finished("kept", output_tail="edited\n", requested_by=place.person)
    assert place.run("unschedule", "kept").returncode == 0
    assert place.stop(runner) == 0


def _asked_by(place: Place, request: str) -> list[str | None]:
    return [record["requested_by"] for record in place.finished(request)]


@acts_alone
def test_simultaneous_commands_without_a_runner_all_work(place: Place) -> None:
    place.declare("a", "true", DAILY)
    place.declare("b", "true", DAILY, top={"scheduled": False})
    place.declare("c", "true", DAILY)
    pressed = {"a": "unschedule", "b": "schedule", "c": "unschedule"}
    commands = [place.begin(button, name) for name, button in pressed.items()]
    assert [end_of(command) for command in commands] == [
        (0, f"{name}: {button}d (differs from its file)\n".encode(), "")
        for name, button in pressed.items()
    ]
    assert {item["request"]: item["status"] for item in place.items("ls")} == {
        name: f"{button}d" for name, button in pressed.items()
    }


@pytest.mark.sqlite_only("no node creates or locks a file while it starts")
def test_a_command_waits_for_a_store_that_is_being_created_or_reports_it(place: Place) -> None:
    place.declare("a", "true", DAILY)
    place.state.mkdir(mode=0o700)
    with take_lock(place.state):
        reported = place.run("kill", "a")
        assert (
            reported.returncode,
            reported.stderr.endswith("is still starting; try again\n"),
        ) == (
            4,
            True,
        )
        create_file(database_path(place.state))
        assert place.run("kill", "a").stderr == reported.stderr
        pressed = place.begin("unschedule", "a")
    assert end_of(pressed) == (0, b"a: unscheduled (differs from its file)\n", "")


@acts_alone
def test_a_command_without_a_runner_applies_after_the_changes_of_the_file(
    place: Place,
) -> None:
    place.declare("once", "echo ran", "run_immediately")
    place.declare("daily", "true", DAILY)
    runner = place.start()
    place.await_finished("once")
    place.stop(runner)
    place.declare("once", "echo ran", "run_immediately", top={"scheduled": False})
    place.declare("daily", "true", {"schedule": {"frequency": "daily", "at": "03:00"}})

    assert place.run("schedule", "once", "nobody").stdout.splitlines() == [
        "once: scheduled (differs from its file)",
        "nobody: refused, there is no request 'nobody'",
    ]
    assert place.run("unschedule", "daily").stdout == "daily: unscheduled (differs from its file)\n"
    before = len(place.records())
    place.start()
    assert "differs" not in place.run("schedule", "daily").stdout
    wait_until(
        lambda: len(place.records()) > before + 1,
        what="the command's record, which comes after its answer",
    )
    reported = [
        record["event"]
        for record in place.records()[before:]
        if record["event"].startswith("request.")
    ]
    assert reported == ["request.scheduled"], "the start had nothing left to say of the files"
    items = {item["request"]: item for item in place.items("ls")}
    assert "T03:00:00" in items["daily"]["scheduled_for"]
    assert items["once"]["status"] == "complete"
    assert items["once"]["drift"].startswith(f"scheduled by {place.person} at ")
    assert len(place.events("execution.started", "once")) == 1


def test_commands_on_requests_take_either_a_selection_or_all(place: Place) -> None:
    choice = "give the names of requests, a selection such as --label team=finance, or --all"
    alone = "--all means every request: give it alone, without names and conditions"
    for arguments, words in (
        ((), choice),
        (("--all", "a"), alone),
        (("--all", "--failing"), alone),
        (("--all", "--label", "team=finance"), alone),
    ):
        done = place.run("unschedule", *arguments)
        assert (done.returncode, done.stderr) == (2, f"runner: {words}\n")
    assert not place.state.exists()


def test_kill_and_status_need_a_runner(place: Place) -> None:
    for arguments in (("kill", "a"), ("status",)):
        done = place.run(*arguments)
        assert done.returncode == 4
        assert "no runner is running on " in done.stderr


def test_a_runner_without_its_fifo_still_answers_commands(place: Place) -> None:
    place.declare("daily", "true", DAILY)
    place.start()
    (place.state / "wake").unlink(missing_ok=place.is_in_fleet)
    assert place.run("unschedule", "--all").returncode == 0
    assert place.run("exec", "daily").returncode == 0


# --- reload
# --------------------------------------------------------------------------------------


def test_reload_answers_with_what_it_changed(place: Place) -> None:
    place.declare("one", "true", DAILY)
    place.declare("two", "true", DAILY)
    runner = place.start()
    # The runner is stopped until both the edit and the command are there, so neither
    # can be first.
    with place.standing_still(runner):
        place.declare("one", "false", DAILY)
        place.declare("three", "echo three", DAILY)
        (place.jobs / "two.yaml").unlink()
        place.write("bad.yaml", "process: {shel: oops}\n")
        command = place.begin("reload")
        wait_until(lambda: has_posted(place.store), what="the command is posted")
    summary = "1 added: three; 1 changed: one (process); 1 removed: two; 1 rejected: bad.yaml"
    code, output, errors = end_of(command)
    assert (code, output) == (1, f"{summary}\n".encode()), "a file is wrong"
    assert (
        "bad.yaml:1:11: `shel` is not a key of `process`\n 1 | process: {shel: oops}\n "
        "  |           ^\n"
    ) in errors
    (record,) = wait_until(
        lambda: place.events("runner.reloaded"), what="the record, which comes after the answer"
    )
    assert (record["message"], record["requested_by"]) == (summary, place.person)
    wait_until(lambda: f"↻ reloaded: {summary}" in place.console(), what="the reload is shown")
    again = place.run("reload")
    assert (again.returncode, again.stdout) == (1, "nothing changed\n")
    assert "did you mean `shell`?" in again.stderr, "it is wrong still"
    place.write("bad.yaml", "process: {shell: repaired}\n")
    assert place.run("reload").returncode == 0


def test_requests_of_an_emptied_folder_are_kept_until_a_reload_confirms_their_removal(
    place: Place,
) -> None:
    place.declare("one", "echo one", DAILY)
    place.declare("two", "echo two", DAILY)
    runner = place.start()
    with place.standing_still(runner):  # it must see both removals at once
        for path in place.jobs.iterdir():
            path.unlink()
    (record,) = wait_until(lambda: place.events("runner.reloaded"))
    assert record["message"] == (
        "the jobs folder is empty; all requests are kept: put its files back, and the runner reads"
        " it by itself (to remove the requests instead: `runner reload --allow-empty`)"
    )
    wait_until(lambda: record["message"] in place.console())
    assert {item["request"] for item in place.items("ls")} == {"one", "two"}
    assert place.run("reload").stdout == record["message"] + "\n"
    assert not place.events("request.removed")

    assert place.run("reload", "--allow-empty").stdout == "2 removed: one, two\n"
    wait_until(
        lambda: len(place.events("request.removed")) == 2,
        what="the records, which come after the answer",
    )
    assert {record["request"] for record in place.events("request.removed")} == {"one", "two"}


def test_a_missing_folder_is_reported_by_every_look_and_so_is_its_return(place: Place) -> None:
    place.declare("one", "echo one", DAILY)
    place.start()
    away = place.jobs.rename(place.folder / "away")
    (lost,) = wait_until(lambda: place.events("runner.reloaded"))
    assert "does not exist; all requests are kept: create or mount it again" in lost["message"]
    wait_until(lambda: "cannot be watched; the runner keeps looking" in place.console())
    note = f"{place.jobs} does not exist; the last good versions of all requests stay in force"
    for line in (["ls"], ["status"], ["show", "one"], ["next"], ["explain", "one"]):
        looked = place.run(*line)
        assert (looked.returncode, looked.stderr.startswith(note)) == (0, True), line
    assert [item["sync"] for item in place.items("ls")] == ["kept"]

    away.rename(place.jobs)
    (_, back) = wait_until(lambda: len(found := place.events("runner.reloaded")) == 2 and found)
    assert back["message"] == "the jobs folder is back"
    wait_until(lambda: "↻ reloaded: the jobs folder is back" in place.console())
    wait_until(lambda: "change notification works again" in place.console())
    assert "does not report changes" not in place.console()
    looked = place.run("ls")
    assert (looked.returncode, looked.stderr) == (0, "")
    assert [item["sync"] for item in place.items("ls")] == ["in sync"]


def test_a_reload_points_out_a_likely_rename_without_formerly(place: Place) -> None:
    path = place.declare("hello", "echo hello", "run_immediately")
    place.start()
    place.await_finished("hello")
    path.rename(path.with_name("salute.yaml"))
    place.await_finished("salute")
    (record,) = wait_until(lambda: place.events("runner.reloaded"))
    assert record["message"] == (
        "1 added: salute; 1 removed: hello; salute looks like hello but began with a new state: to"
        " keep its state and history, rename it back, then again with `formerly: hello`"
    )
    path.with_name("salute.yaml").rename(path)
    wait_until(lambda: len(place.events("runner.reloaded")) == 2)
    place.declare("salute", "echo hello", "run_immediately", top={"formerly": "hello"})
    path.unlink()
    wait_until(lambda: "1 renamed: hello → salute" in place.console(), what="the advice works")
    assert len(place.events("execution.finished")) == 2


def test_sighup_reads_the_folder_and_the_runner_continues(place: Place) -> None:
    runner = place.start()
    with place.standing_still(runner):
        place.declare("new", "echo new", "run_immediately")
        runner.send_signal(signal.SIGHUP)
    place.await_finished("new")
    assert place.stop(runner) == 0


# --- status, ls, next, show, validate
# --------------------------------------------------------------------------------------


def test_status_from_another_folder_names_the_folder_that_is_served(
    place: Place, tmp_path: Path
) -> None:
    place.declare(
        "daily", "true", {"schedule": {"frequency": "daily", "at": "02:00", "start": "2097-01-01"}}
    )
    place.declare("slow", GATE, "run_immediately")
    runner = place.start()
    wait_until(lambda: place.events("execution.started", "slow"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    del place.environment["RUNNER_JOBS"]
    place.folder = elsewhere
    (item,) = place.items("status")
    assert (item["pid"], item["jobs"]) == (runner.pid, str(place.jobs))
    assert item["requests"] == {"complete": 1, "scheduled": 1}
    assert [each["request"] for each in item["running"]] == ["slow"]
    assert (item["waiting"], item["next"][0]["request"]) == ([], "daily")
    text = place.run("status").stdout
    assert re.search(f"runner {runner.pid} (on .+ )?has been running since ", text)
    assert str(place.jobs) in text
    place.run("kill", "slow")


@pytest.mark.sqlite_only("each node of a fleet has a jobs folder of its own")
def test_a_state_folder_serves_one_jobs_folder(place: Place) -> None:
    place.declare("daily", "true", DAILY)
    place.stop(place.start())
    before = place.log.read_bytes()
    other = place.folder / "other"
    other.mkdir()
    (other / "stranger.yaml").write_text("process: {shell: 'true'}\n")
    for code, arguments in ((1, ("start",)), (125, ("exec", "stranger"))):
        refused = place.run(*arguments, "--jobs", str(other))
        assert refused.returncode == code
        assert (
            f"belongs to the jobs folder {place.jobs}; give {other} a state folder of its own"
            in refused.stderr
        )
    assert place.log.read_bytes() == before
    (listed,) = place.items("ls", "--jobs", str(other))
    assert (listed["request"], listed["status"], listed["sync"]) == (
        "stranger",
        "definition",
        "new",
    )


@pytest.mark.sqlite_only("each node of a fleet has a jobs folder of its own")
def test_a_runner_of_another_jobs_folder_gets_no_command(place: Place) -> None:
    place.declare("daily", "true", DAILY)
    process = place.start()
    other, nowhere = place.folder / "other", place.folder / "nowhere"
    other.mkdir()
    (other / "daily.yaml").write_text("process: {shell: 'true'}\n")
    before = place.log.read_bytes()
    for code, *arguments in (
        (1, "unschedule", "daily"),
        (125, "exec", "daily"),
        (1, "kill", "daily"),
        (1, "reload"),
    ):
        refused = place.run(*arguments, "--jobs", str(other))
        assert refused.returncode == code
        assert (
            f"the state folder {place.state} belongs to {place.jobs}, not to {other}; "
            in refused.stderr
        )
    assert (
        f"belongs to {place.jobs}, not to {other}; "
        in place.run("plan", "--jobs", str(other)).stderr
    )
    assert place.log.read_bytes() == before
    link = place.folder / "link"
    link.symlink_to(place.jobs)
    for jobs, button in ((link, "unschedule"), (nowhere, "schedule")):
        assert place.run(button, "daily", "--jobs", str(jobs)).returncode == 0
    assert place.stop(process) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("next", "--timezone", "Europe/Madird"),
            "there is no time zone 'Europe/Madird' (did you mean Europe/Madrid?)",
        ),
        (
            ("start",),
            "the system's zone (TZ or /etc/localtime): there is no time zone 'CET-1CEST'"
            " (write an IANA name such as Europe/Madrid or UTC)",
        ),
    ],
)
def test_an_unknown_time_zone_gets_a_clear_message(
    place: Place, arguments: tuple[str, ...], message: str
) -> None:
    place.environment["TZ"] = "CET-1CEST"
    done = place.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"runner: {message}; choose one with --timezone\n"


def test_a_single_file_is_validated_together_with_the_files_that_it_refers_to(place: Place) -> None:
    place.declare("base", "true")
    place.write("bad.yaml", "process: {shel: oops}\n")
    good = place.write("sub/good.yaml", "process: {request: base}\ntiming: run_immediately\n")
    extra = place.write("sub/extra.yaml", "process: {request: base, timeout: 5s}\n")
    assert place.run("validate", str(good)).stderr == "1 request, all valid\n"

    done = place.run("validate", str(extra), "--output", "json")
    assert done.returncode == 1
    (problem,) = [json.loads(line) for line in done.stdout.splitlines()]
    fields = {"file", "line", "column", "path", "message", "suggestion", "severity"}
    assert problem.keys() == fields
    assert (Path(problem["file"]), problem["line"]) == (extra, 1)
    assert "timeout" in problem["message"]

    note = place.folder / "note.txt"
    note.write_text("process: {shell: 'true'}\n")
    done = place.run("validate", str(note))
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == f"runner: {note} is not a request file: its name must end in .yaml or .yml\n"
    )


def test_a_closed_pipe_ends_a_list_quietly(place: Place) -> None:
    place.write(
        "many.yaml",
        "---\n".join(f"name: request-{n:04}\nprocess: {{shell: 'true'}}\n" for n in range(1900)),
    )
    for arguments in (("ls",), ("next", "--until", "2999-01-01 00:00")):
        place.declare("often", "true", {"schedule": {"frequency": "hourly"}})
        command = place.begin(*arguments)
        assert command.stdout is not None
        assert command.stdout.readline().startswith((b"NAME ", b"SCHEDULED FOR "))
        command.stdout.close()
        assert command.stderr is not None
        with command.stderr:
            assert (command.wait(timeout=60), command.stderr.read()) == (1, b"")


def test_an_unknown_name_gets_the_nearest_one_suggested(place: Place) -> None:
    place.declare("nightly", "true", DAILY)
    done = place.run("next", "nigthly")
    assert (done.returncode, done.stderr) == (
        2,
        "runner: there is no request 'nigthly'; did you mean 'nightly'?\n",
    )


# --- who it was
# --------------------------------------------------------------------------------------


def test_every_command_is_recorded_with_the_name_of_its_uid_whatever_the_environment_claims(
    place: Place,
) -> None:
    place.declare("slow", GATE, DAILY)
    runner = place.start()
    for button in ("unschedule", "schedule", "reschedule"):
        assert place.run(button, "slow").returncode == 0
    execution = place.begin("exec", "slow")
    wait_until(lambda: place.events("execution.started", "slow"), what="slow has started")
    assert place.run("kill", "slow").returncode == 0
    assert end_of(execution)[0] == 128 + 15
    place.declare("new", "true", DAILY)
    assert place.run("reload").returncode == 0
    assert place.stop(runner) == 0

    named = [record for record in place.records() if record.get("requested_by") is not None]
    events = {
        "request.unscheduled",
        "request.scheduled",
        "request.rescheduled",
        "execution.finished",
    }
    assert events <= {record["event"] for record in named}
    assert {(record["requested_by"], record["requested_via"]) for record in named} == {
        (place.person, "cli")
    }
    kept = b"".join(path.read_bytes() for path in place.state.rglob("*") if path.is_file())
    assert IMPOSTOR.encode() not in kept
