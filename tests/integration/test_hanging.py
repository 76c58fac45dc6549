"""A runner whose mounts and name services hang: the hanging call fails alone, and
everything else continues.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.fork_server import Process
from support.hung_mount import hung, needs_hung_mount
from support.place import GATE, SECONDLY, Place, check_log, end_of, wait_until
from support.receiver_world import settings

from runner.cli.command_table import COMMANDS

HANGING = {
    "the directory": {"command": ["true"], "directory": "{hung}"},
    "the directory, for the launcher": {
        "command": ["true"],
        "directory": "{hung}",
        "umask": "022",
        "timeout": "1s",
    },
    "an environment file": {"command": ["true"], "environment_file": "{hung}/environment"},
    "a folder of PATH": {"command": ["anything"], "environment": {"PATH": "{hung}:/usr/bin"}},
    "the program": {"command": ["{hung}/program"]},
    "the interpreter of the program": {"command": ["{here}/script"]},
}
PATIENCE = """
from runner.execution.spawning import spawners

spawners.PATIENCE = spawners.Patience(give_up_s={give_up_s})
"""
"""Runs before the program: a start counts as failed after another time than 10 s."""
NAME_SERVICE = textwrap.dedent("""
    #include <pwd.h>
    #include <string.h>
    #include <sys/types.h>
    #include <unistd.h>

    int getpwnam_r(const char *name, struct passwd *user, char *buffer, size_t size,
                   struct passwd **found) {
        if (strcmp(name, "unknown") == 0) for (;;) pause();
        user->pw_name = "nobody"; user->pw_passwd = ""; user->pw_gecos = ""; user->pw_dir = "/";
        user->pw_shell = "/bin/sh"; user->pw_uid = user->pw_gid = 65534;
        *found = user;
        return 0;
    }

    int getgrouplist(const char *name, gid_t group, gid_t *groups, int *count) { for (;;) pause(); }
""")
"""A library in place of the name service: it never answers who `unknown` is or which
groups a user has.
"""


def let_give_up_after(place: Place, give_up_s: float) -> None:
    """Set the time after which runners give up a hanging start."""
    folder = place.folder / "patience"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(PATIENCE.format(give_up_s=give_up_s))
    place.environment["PYTHONPATH"] = str(folder)


@pytest.fixture
def impatient(place: Place) -> None:
    let_give_up_after(place, 1.0)


def assert_others_fire(place: Place, *, since: int) -> None:
    """Check that `other` fires without a miss, in the records from a place on."""
    count = len(place.finished("other"))
    place.await_finished("other", count=count + 2)
    fires = [record for record in place.records()[since:] if record.get("request") == "other"]
    assert {record.get("status", "success") for record in fires} <= {"success", "processing"}


@needs_hung_mount
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("process", HANGING.values(), ids=HANGING)
def test_a_start_that_hangs_fails_alone_while_others_fire(
    place: Place, process: dict[str, object]
) -> None:
    mount, script = place.folder / "hung", place.folder / "script"
    mount.mkdir()
    script.write_text(f"#!{mount}/interpreter\n")
    script.chmod(0o755)
    text = json.dumps({"process": process, "timing": "run_immediately"})
    place.declare("other", "true", SECONDLY)
    runner = place.start()
    with hung(mount):
        before = len(place.records())
        place.write(
            "hangs.yaml", text.replace("{hung}", str(mount)).replace("{here}", str(place.folder))
        )
        (ended,) = place.await_finished("hangs", within_s=60)
        assert ended["status"] == "error"
        if ended["reason"] != "timeout":
            assert ended["reason"] == "spawn_failed"
            assert "has not answered" in ended["message"]
        assert_others_fire(place, since=before)
        assert place.stop(runner) == 0


@needs_hung_mount
def test_a_start_that_hangs_can_be_killed_and_does_not_hold_up_a_stop(place: Place) -> None:
    let_give_up_after(place, 600.0)
    mount = place.folder / "hung"
    mount.mkdir()
    runner = place.start("--drain", "1s")
    with hung(mount):
        for name in ("first", "second"):
            place.declare(name, "true", directory=str(mount))
        assert place.run("reload").returncode == 0
        asking = [place.begin("exec", name) for name in ("first", "second")]
        wait_until(
            lambda: len(place.items("status")[0]["running"]) == 2, what="both to be on their way"
        )
        assert place.run("kill", "first").returncode == 0
        (killed,) = place.await_finished("first")
        assert (killed["status"], killed["reason"]) == ("killed", "killed_by_user")
        assert place.stop(runner) == 0
        assert len(place.finished("second")) == 1
        assert all(end_of(each)[0] for each in asking)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("gcc") is None, reason="needs root and gcc")
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("user", ["unknown", "nobody"])
def test_a_name_service_that_hangs_fails_the_execution_while_others_fire(
    place: Place, user: str
) -> None:
    library = compiled(place.folder, NAME_SERVICE)
    place.environment["LD_PRELOAD"] = str(library)
    place.declare("other", "true", SECONDLY)
    runner = place.start()
    before = len(place.records())
    place.declare("hangs", "true", "run_immediately", run_as={"user": user})
    (ended,) = place.await_finished("hangs", within_s=60)
    assert (ended["status"], ended["reason"]) == ("error", "spawn_failed")
    assert "name service" in ended["message"]
    assert_others_fire(place, since=before)
    assert place.stop(runner) == 0


def compiled(folder: Path, source: str) -> Path:
    """Compile a library that can be preloaded."""
    library = folder / "library.so"
    command = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(command, input=source, text=True, check=True, timeout=60)
    return library


SENDER = """
from runner.notifying import notice
from runner.notifying.sending import delivery, sender

delivery.DELIVERY_S, notice.GROUPING, sender.COMMAND = 2.0, 0 * notice.GROUPING, ({program!r},)
"""
"""Runs before the program: messages go out at once, by a program that is not there."""


@needs_hung_mount
def test_a_program_that_sends_messages_and_hangs_at_its_start_holds_up_no_fire_and_no_stop(
    place: Place,
) -> None:
    mount, folder = place.folder / "hung", place.folder / "sender"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SENDER.format(program=str(mount / "python")))
    place.environment["PYTHONPATH"] = str(folder)
    settings(place, {"script": {"command": ["true"]}})
    place.declare("other", "true", SECONDLY)
    runner = place.start()
    with hung(mount):
        before = len(place.records())
        place.declare("fails", "false", "run_immediately")
        (failed,) = wait_until(lambda: place.events("notification.failed"), what="its failure")
        assert failed["message"] == "the sender could not be started: no answer within 2 s"
        assert_others_fire(place, since=before)
        assert place.stop(runner) == 0


@needs_hung_mount
def test_a_jobs_folder_that_hangs_holds_up_no_fire_no_command_and_no_stop(place: Place) -> None:
    place.declare("other", "true", SECONDLY, directory="/")
    runner = place.start()
    place.await_finished("other")
    before = len(place.records())
    with hung(place.jobs):
        wait_until(lambda: "has not answered" in place.console(), what="a word about it")
        assert_others_fire(place, since=before)
        runner.send_signal(signal.SIGHUP)
        assert_others_fire(place, since=before)
    wait_until(lambda: "works again" in place.console(), what="a word about its end")
    place.declare("late", "true", "run_immediately", directory="/")
    place.await_finished("late")
    with hung(place.jobs):
        wait_until(lambda: place.console().count("has not answered") == 2, what="a word about it")
        assert place.stop(runner) == 0


@needs_hung_mount
def test_a_folder_below_the_jobs_folder_that_hangs_holds_up_no_fire(place: Place) -> None:
    place.declare("other", "true", SECONDLY)
    below = place.jobs / "below"
    below.mkdir()
    runner = place.start()
    before = len(place.records())
    with hung(below):
        place.declare("another", "true")
        assert_others_fire(place, since=before)
        wait_until(lambda: "has not answered" in place.console(), what="a word about it")
    place.declare("late", "true", "run_immediately")
    place.await_finished("late")
    assert place.stop(runner) == 0


@needs_hung_mount
def test_a_runner_whose_jobs_sub_folder_hangs_at_its_start_ends_at_a_stop(place: Place) -> None:
    place.declare("once", "true", "run_immediately")
    with hung(place.jobs / "below"):
        runner = place.launch()
        wait_until(lambda: _hangs(runner.pid), what="a thread that waits for the folder")
        assert place.stop(runner) == 0, place.console()
    assert not place.events("execution.started")


@needs_hung_mount
@pytest.mark.parametrize("which", ["jobs", "state"])
def test_a_runner_whose_folder_hangs_at_its_start_says_so_and_ends_at_a_stop(
    place: Place, which: str
) -> None:
    place.declare("once", "true", "run_immediately")
    folder: Path = getattr(place, which)
    with hung(folder):
        runner = place.launch()
        wait_until(lambda: f"waiting for {folder}" in place.console(), what="a word about it")
        assert place.stop(runner) == 0, place.console()
        assert f"stopped before the start, while waiting for {folder}" in place.console()
    assert not place.events("execution.started")


@needs_hung_mount
def test_a_runner_whose_state_folder_hangs_says_so_and_continues_when_it_answers(
    place: Place,
) -> None:
    place.declare("other", "true", SECONDLY)
    runner = place.start()
    place.await_finished("other")
    with hung(place.state):
        wait_until(lambda: f"waiting for {place.state}" in place.console(), what="a word about it")
    wait_until(lambda: "no longer waiting for" in place.console(), what="a word about its end")
    count = len(place.finished("other", status="success"))
    place.await_finished("other", status="success", count=count + 2)
    assert place.stop(runner) == 0
    check_log(place.log)


@needs_hung_mount
@pytest.mark.parametrize("signals", [1, 2])
def test_a_runner_whose_state_folder_hangs_ends_at_a_stop_and_leaves_its_executions_to_the_next(
    place: Place, signals: int
) -> None:
    place.declare("slow", GATE, "run_immediately")
    runner = place.start("--drain", "1s" if signals == 1 else "1d")
    wait_until(lambda: place.events("execution.started", "slow"), what="its start")
    wait_until(  # a thread blocks them when it begins
        lambda: _threads_open_to_signals(runner.pid) == {runner.pid},
        what="all other threads to leave signals to the main thread",
    )
    with hung(place.state):
        wait_until(lambda: f"waiting for {place.state}" in place.console(), what="a word about it")
        runner.send_signal(signal.SIGTERM)
        if signals == 2:
            # The main thread must have the first one, or the kernel merges the two.
            wait_until(lambda: _pending_for(runner.pid, "SigPnd"), what="the first signal")
            runner.send_signal(signal.SIGTERM)
        assert runner.wait(timeout=60) == 1
        assert "without an orderly stop" in place.console()
    runner = place.start()
    wait_until(lambda: "adopted from the former runner: slow" in place.console(), what="adoption")
    place.open_gate()
    (ended,) = place.await_finished("slow")
    assert ended["status"] == "system_restart"
    assert place.stop(runner) == 0
    check_log(place.log)


@needs_hung_mount
def test_a_hanging_stop_ends_at_its_deadline(place: Place) -> None:
    place.declare("slow", GATE, "run_immediately")
    runner = place.start("--drain", "1s")
    wait_until(lambda: place.events("execution.started", "slow"), what="its start")
    runner.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping: waiting" in place.console(), what="the stop")
    with hung(place.state):
        assert runner.wait(timeout=60) == 1
        assert "without an orderly stop" in place.console()
    place.open_gate()


@needs_hung_mount
@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_hanging_monitor_log_delays_only_records(place: Place, is_stopped: bool) -> None:
    folder = place.folder / "logs"
    folder.mkdir()
    place.log = folder / "monitor.jsonl"
    place.environment["RUNNER_MONITOR_LOG"] = str(place.log)
    place.declare("other", "true", SECONDLY)
    place.declare("once", "true")
    runner = place.start()
    place.await_finished("other")
    with hung(folder):
        wait_until(lambda: "monitor.jsonl does not answer" in place.console(), what="a word")
        count = place.console().count("other  success")
        wait_until(lambda: place.console().count("other  success") >= count + 2, what="fires")
        place.declare("once", "true", "run_immediately")
        wait_until(lambda: "once  success" in place.console(), what="another fire")
        if is_stopped:
            assert place.stop(runner) == 0
    if is_stopped:
        runner = place.start()
    else:
        wait_until(lambda: "the monitor log works again" in place.console(), what="its end")
    place.await_finished("once")
    assert place.stop(runner) == 0
    if not is_stopped:
        assert {record["status"] for record in place.finished("other")} == {"success"}
    check_log(place.log)


@needs_hung_mount
@pytest.mark.parametrize(
    ("variable", "number"), [("RUNNER_JOBS", signal.SIGINT), ("RUNNER_STATE", signal.SIGTERM)]
)
def test_every_command_ends_at_a_signal_while_it_waits_for_a_folder(
    place: Place, variable: str, number: signal.Signals
) -> None:
    place.declare("once", "true")
    arguments = {
        "init": ("new",),
        **dict.fromkeys(("exec", "explain", "kill", "log", "show"), ("once",)),
        **dict.fromkeys(("reschedule", "schedule", "unschedule"), ("once",)),
        "pause": ("once", "--reason", "why"),
        "token": ("list",),
        "backfill": ("once", "--from", "2h", "--to", "now"),
    }
    with contextlib.ExitStack() as mounts:
        commands: dict[str, Process] = {}
        for name in COMMANDS:
            # A calendar reads no file, a test message only the settings. The page goes on.
            if name in ("start", "doctor", "calendar", "notify", "web"):
                continue
            # One folder each: on Linux nothing can end a second lookup of the same
            # name.
            folder = place.folder / "hung" / name
            folder.parent.mkdir(exist_ok=True)
            mounts.enter_context(hung(folder))
            place.environment[variable] = str(folder)
            source = ("crontab", str(folder / "crontab")) if name == "import" else ()
            commands[name] = place.begin(name, *arguments.get(name, source))
        for name, command in commands.items():
            wait_until(
                lambda command=command: command.poll() is not None or _hangs(command.pid),  # type: ignore[misc]
                what=f"{name} to wait",
            )
            command.send_signal(number)
        for command in commands.values():
            code, _, messages = end_of(command)
            assert "Traceback" not in messages
            assert code in (0, 1, 2, 4, -number, 128 + number), messages


@needs_hung_mount
def test_a_command_says_what_it_waits_for(place: Place) -> None:
    with hung(place.jobs):
        command = place.begin("ls")
        assert command.stderr is not None
        assert f"waiting for {place.jobs}" in command.stderr.readline().decode()
        command.send_signal(signal.SIGINT)
        code, _, messages = end_of(command)
    assert code == 128 + signal.SIGINT
    assert f"while waiting for {place.jobs}" in messages


@needs_hung_mount
@pytest.mark.parametrize("which", ["jobs", "state"])
def test_doctor_names_the_folder_that_does_not_answer_and_reports_the_rest(
    place: Place, which: str
) -> None:
    place.declare("once", "true")
    folder: Path = getattr(place, which)
    with hung(folder):
        done = place.run("doctor", "--output", "json")
    assert done.returncode == 1, done.stderr
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    checks = {finding["check"] for finding in findings}
    assert {"versions", "zone", "clock", "limits", "jobs", "state", "store", "room"} <= checks
    silent = [each for each in findings if "does not answer" in each["message"]]
    assert {each["level"] for each in silent} == {"problem"}
    assert which in {each["check"] for each in silent}
    assert all(each["message"].startswith(str(folder)) for each in silent)


CONSOLE = """
import json, sys
from runner.cli.output.console import Console
with Console("text", "UTC") as console:
    for record in json.load(sys.stdin):
        console.show(record)
"""


@needs_hung_mount
def test_a_rejected_file_that_hangs_is_reported_without_its_lines(tmp_path: Path) -> None:
    with hung(tmp_path / "hung"):
        file = str(tmp_path / "hung" / "bad.yaml")
        problem = {"file": file, "line": 1, "column": 1, "message": "bad", "suggestion": None}
        record = {
            "event": "request.rejected",
            "time": "2026-10-24T12:00:00.000000Z",
            "request_file": file,
            "problems": [problem],
            "message": None,
        }
        done = subprocess.run(
            [sys.executable, "-c", CONSOLE],
            input=json.dumps([record, record]),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert done.stderr.count(f"{file}:1:1: bad") == 2


def _threads_open_to_signals(pid: int) -> set[int]:
    """Return the threads of a process that may take a SIGTERM (proc(5), SigBlk)."""
    threads = (int(each.name) for each in Path(f"/proc/{pid}/task").iterdir())
    blocked = {
        thread: int(text.partition("SigBlk:")[2].split()[0], 16)
        for thread in threads
        if (text := Path(f"/proc/{pid}/task/{thread}/status").read_text())
    }
    bit = 1 << (signal.SIGTERM - 1)
    return {thread for thread, mask in blocked.items() if not mask & bit}


def _pending_for(pid: int, field: str) -> bool:
    """Return whether a signal waits for the main thread ("SigPnd") of a process (proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0], 16) != 0


def _hangs(pid: int) -> bool:
    """Return whether a thread of a process waits for an answer of the file system."""
    places = []
    for wait in Path(f"/proc/{pid}/task").glob("*/wchan"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            places.append(wait.read_text())
    return any("fuse" in place or "request" in place for place in places)
