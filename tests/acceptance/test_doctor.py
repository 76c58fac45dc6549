"""`runner doctor`: its findings, its advice, which works, and its robustness."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.place import Place

from runner.cli.group import cli
from runner.examination import content_checks, examine, machine_checks, notification_checks
from runner.examination.doctor_findings import DoctorFinding, Level
from runner.examination.file_systems import file_system_of
from runner.examination.subject import Subject
from runner.execution.output import output_path
from runner.requests.file_settings import OutputBounds
from runner.store.lock import lock_path, take_lock
from runner.store.opening import own_store
from runner.store.place import StorePlace
from runner.store.rows import Batch, ResultRow
from runner.store.sqlite.connection import database_path
from runner.values import new_id

REQUEST = (
    "process: {command: [id]}\ntiming: {schedule: {frequency: daily, at: '02:00', "
    "timezone: Europe/Madrid}}\n"
)
RECORD = '{"v": 1, "event": "runner.started", "time": "2026-01-01T00:00:00.000000Z"}\n'


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return an empty store, as a runner leaves it."""
    folder = tmp_path_factory.mktemp("store")
    own_store(StorePlace(folder=folder)).close()
    return database_path(folder).read_bytes()


@pytest.fixture
def subject(tmp_path: Path, store: bytes) -> Subject:
    """Return a runner's places without any problem."""
    home = tmp_path / "home"
    jobs, state = home / "jobs.d", home / "state"
    (jobs / "erp").mkdir(parents=True)
    for name in ("a.yaml", "erp/b.yaml"):
        (jobs / name).write_text(REQUEST)
    (state / "outputs").mkdir(parents=True)
    for path, content in ((database_path(state), store), (lock_path(state), b"1\n")):
        path.write_bytes(content)
        path.chmod(0o600)
    os.mkfifo(state / "wake", 0o600)
    log = state / "monitor.jsonl"
    log.write_text(RECORD)
    for path, mode in (
        (home, 0o755),
        (jobs, 0o755),
        (jobs / "erp", 0o755),
        (state, 0o700),
        (log, 0o640),
    ):
        path.chmod(mode)
    for file in jobs.rglob("*.yaml"):
        file.chmod(0o644)
    return Subject(
        jobs=jobs, state=state, monitor_log=log, zone="UTC", logrotate=home / "logrotate.d"
    )


def doctor(subject: Subject, *arguments: str, **environment: str) -> Result:
    given = [
        "--jobs",
        str(subject.jobs),
        "--state",
        str(subject.state),
        "--monitor-log",
        str(subject.monitor_log),
    ]
    return CliRunner().invoke(cli, ["doctor", *given, *arguments], env={"TZ": "UTC", **environment})


def found(subject: Subject, check: str) -> list[DoctorFinding]:
    return [finding for finding in examine(subject) if finding.check == check]


def only(subject: Subject, check: str, level: Level) -> DoctorFinding:
    """Return the single finding of a check, which must have this level."""
    (finding,) = (finding for finding in found(subject, check) if finding.level is not Level.OK)
    assert finding.level is level
    assert finding.suggestion
    return finding


def test_doctor_reports_each_check_that_passes_and_changes_nothing(subject: Subject) -> None:
    def content() -> dict[str, tuple[int, bytes]]:
        files = [path for path in subject.jobs.parent.rglob("*") if path.is_file()]
        return {
            str(path): (path.stat().st_mode, path.read_bytes())
            for path in files
            if path.suffix != ".sqlite3-shm"
        }

    before = content()
    done = doctor(subject, "--output", "json")
    items = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.exit_code, done.stderr) == (0, "")
    assert all(item.keys() == {"check", "level", "message", "suggestion"} for item in items)
    assert all((item["suggestion"] is None) == (item["level"] == "ok") for item in items)
    levels = {
        item["check"]: item["level"]
        for item in items
        if item["check"] not in ("clock", "zone", "room", "limits")
    }
    expected = "versions runner jobs requests notification state store log outputs"
    assert levels == dict.fromkeys(expected.split(), "ok")
    text = doctor(subject)
    assert f"only {'root' if os.geteuid() == 0 else ''}" in text.stdout
    assert text.exit_code == 0
    after = content()
    assert {path: after[path] for path in before} == before


def test_in_an_empty_folder_doctor_says_how_to_begin(tmp_path: Path) -> None:
    nowhere = Subject(
        jobs=tmp_path / "jobs.d",
        state=tmp_path / "state",
        monitor_log=tmp_path / "no" / "log",
        zone="UTC",
    )
    done = doctor(nowhere)
    assert done.exit_code == 1
    assert "create it with mkdir, set up a new folder with `runner init DIR`" in done.stdout
    assert "problem" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [".", "erp", "a.yaml", "erp/b.yaml"])
def test_world_writable_requests_are_a_problem_that_the_advice_fixes(
    subject: Subject, name: str
) -> None:
    place = subject.jobs / name
    place.chmod(place.stat().st_mode | 0o002)
    finding = only(subject, "jobs", Level.PROBLEM)
    assert f"everyone may write {place}" in finding.message
    assert doctor(subject).exit_code == 1
    subprocess.run(shlex.split(str(finding.suggestion)), check=True)
    assert [each.level for each in found(subject, "jobs")] == [Level.OK]


def test_a_writable_folder_above_the_requests_is_a_problem_unless_it_is_sticky(
    subject: Subject,
) -> None:
    subject.jobs.parent.chmod(0o777)
    finding = only(subject, "jobs", Level.PROBLEM)
    assert f"could replace {subject.jobs} with another folder" in finding.message
    subject.jobs.parent.chmod(0o1777)
    assert [each.level for each in found(subject, "jobs")] == [Level.OK]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to give files away")
def test_other_owners_and_groups_are_named(subject: Subject) -> None:
    (subject.jobs / "a.yaml").chmod(0o664)
    os.chown(subject.jobs / "a.yaml", 0, 54321)
    assert (
        "the group gid 54321, which root is not in, may write"
        in only(subject, "jobs", Level.PROBLEM).message
    )
    os.chown(subject.jobs / "a.yaml", 54321, 0)
    assert (
        "belongs to uid 54321: they could run anything as root"
        in only(subject, "jobs", Level.PROBLEM).message
    )
    os.chown(subject.state, 54321, 54321)
    assert (
        "the state folder belongs to uid 54321"
        in only(replace(subject), "user", Level.ADVICE).message
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to give files away")
def test_writers_other_than_a_plain_user_are_graded_by_how_many_they_are(subject: Subject) -> None:
    for place in (subject.state, *subject.state.rglob("*")):
        os.chown(place, 54321, 54321)
    theirs, file = replace(subject), subject.jobs / "a.yaml"
    file.chmod(0o664)
    for owner, group, level in (
        (54321, 0, None),
        (0, 12345, Level.WARNING),
        (12345, 0, Level.ADVICE),
    ):
        os.chown(file, owner, group)
        assert [each.level for each in found(theirs, "jobs")] == [level or Level.OK]
    os.chown(file, 0, 0)
    file.chmod(0o666)
    assert [each.level for each in found(theirs, "jobs")] == [Level.PROBLEM]


@pytest.mark.skipif(os.geteuid() != 0, reason="a user other than root decides whom to trust")
@pytest.mark.parametrize("command", [["start"], ["exec", "a"], ["reschedule", "a"]])
def test_root_refuses_world_writable_requests(subject: Subject, command: list[str]) -> None:
    before = (subject.state / "monitor.jsonl").read_bytes()
    subject.jobs.chmod(0o777)
    places = ["--jobs", str(subject.jobs), "--state", str(subject.state)]
    done = subprocess.run(
        [sys.executable, "-m", "runner", *command, *places], capture_output=True, text=True
    )
    assert done.returncode == (125 if command[0] == "exec" else 1)
    assert f"everyone may write {subject.jobs}, " in done.stderr
    assert f"chmod o-w {subject.jobs}" in done.stderr
    assert (subject.state / "monitor.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", [".", "store.sqlite3", "wake", "lock", "outputs"])
def test_a_world_writable_state_folder_is_a_problem(subject: Subject, name: str) -> None:
    (subject.state / name).chmod(0o722)
    finding = only(subject, "state", Level.PROBLEM)
    assert f"everyone may write {subject.state / name}" in finding.message


def test_outputs_near_their_bound_are_reported_with_the_request_that_has_most(
    subject: Subject,
) -> None:
    assert [each.level for each in found(subject, "outputs")] == [Level.OK]
    executions = [new_id() for _ in range(3)]
    for execution in executions:
        path = Path(output_path(subject.state / "outputs", execution))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0123456789")
    with closing(own_store(StorePlace(folder=subject.state))) as store:
        results = [
            ResultRow(execution, name, "direct", "success", None, 0, 1, 0, 0, 0)
            for execution, name in zip(executions, ("few", "many", "many"), strict=True)
        ]
        store.commit(Batch(results=results))
    for bounds in (OutputBounds(count=3), OutputBounds(size=32)):
        finding = only(replace(subject, output_bounds=bounds), "outputs", Level.ADVICE)
        assert finding.message.startswith("3 outputs, 30 B, 20 B of them by many; beyond ")
    roomy = replace(subject, output_bounds=OutputBounds(count=4, size=40))
    assert [each.level for each in found(roomy, "outputs")] == [Level.OK]


def test_a_log_and_outputs_that_everybody_can_read_are_a_warning(subject: Subject) -> None:
    subject.monitor_log.chmod(0o644)
    assert str(subject.monitor_log) in only(subject, "log", Level.WARNING).message
    subject.state.chmod(0o711)
    (subject.state / "outputs").chmod(0o755)
    assert (
        f"everyone may read {subject.state / 'outputs'}"
        in only(subject, "state", Level.WARNING).message
    )


def test_a_rejected_request_and_an_unknown_zone_are_reported(subject: Subject) -> None:
    (subject.jobs / "a.yaml").write_text(REQUEST.replace("Madrid", "Madird"))
    assert (
        "there is no time zone 'Europe/Madird'" in only(subject, "requests", Level.WARNING).message
    )
    done = doctor(subject, TZ="Europe/Nowhere")
    assert done.exit_code == 1
    assert "there is no time zone 'Europe/Nowhere'" in done.stdout


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(
    ("statement", "level", "words"),
    [
        ("PRAGMA user_version = 99", Level.PROBLEM, "has version 99"),
        ("PRAGMA user_version = 0", Level.ADVICE, "it has version 0"),
        ("PRAGMA application_id = 7", Level.PROBLEM, "belongs to another application"),
        (
            "DROP TABLE outbox",
            Level.PROBLEM,
            "lacks tables of its version (no such table: outbox)",
        ),
    ],
)
def test_a_store_of_another_version_or_program_is_reported(
    subject: Subject, statement: str, level: Level, words: str
) -> None:
    execute(database_path(subject.state), statement)
    assert words in only(subject, "store", level).message


def test_records_that_wait_without_a_runner_are_reported(subject: Subject) -> None:
    store = own_store(StorePlace(folder=subject.state))
    store.commit(Batch(records=[b"{}\n"]))
    store.close()
    assert "1 records wait" in only(subject, "store", Level.WARNING).message
    with take_lock(subject.state):
        alive = replace(subject)  # this is checked only once
        assert f"runner {os.getpid()} is running" in found(alive, "runner")[0].message
        assert [each.level for each in found(alive, "store")] == [Level.OK]


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    damage=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=40),
    kept=st.just(2**30) | st.integers(0, 2**16),
    lines=st.binary(max_size=100),
)
def test_doctor_survives_any_damage_to_store_or_log(
    subject: Subject, damage: list[tuple[int, int]], kept: int, lines: bytes
) -> None:
    store, log = database_path(subject.state), subject.monitor_log
    whole = store.read_bytes()
    torn = bytearray(whole)
    for at, byte in damage:
        torn[at % len(torn)] = byte
    try:
        store.write_bytes(torn[:kept])
        log.write_bytes(lines)
        assert {
            finding.check
            for finding in (
                *content_checks.store_findings(subject),
                *content_checks.line_findings(subject),
            )
        }
    finally:
        store.write_bytes(whole)


def as_folder(path: Path) -> None:
    path.mkdir()


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def as_link_to_itself(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [as_folder, as_pipe, as_link_to_itself, Path.touch])
def test_doctor_survives_files_of_an_unexpected_kind(
    subject: Subject, make: Callable[[Path], None]
) -> None:
    home = subject.jobs.parent
    inside = ("store.sqlite3", "lock", "wake", "outputs", "monitor.jsonl")
    for name in ("jobs.d", "jobs.d/a.yaml", "state", *(f"state/{each}" for each in inside)):
        place, aside, made = home / name, home / "aside", home / "made"
        place.rename(aside)
        make(place)
        checks = {finding.check for finding in examine(replace(subject))}
        assert {"versions", "jobs", "state", "store", "zone", "limits"} <= checks
        place.rename(made)
        aside.rename(place)
        made.rmdir() if make is as_folder else made.unlink()


def test_a_torn_last_line_and_lines_that_are_no_records_are_reported(subject: Subject) -> None:
    subject.monitor_log.write_text(RECORD + RECORD[:20])
    assert "torn" in only(subject, "log", Level.WARNING).message
    subject.monitor_log.write_text(RECORD + "out of memory\n")
    assert "not a record" in only(subject, "log", Level.WARNING).message


def test_the_last_clock_step_is_reported(subject: Subject) -> None:
    stepped = {
        "event": "runner.clock_stepped",
        "step_s": -61.5,
        "time": "2999-01-01T00:00:00.000000Z",
    }
    subject.monitor_log.write_text(json.dumps(stepped) + "\n")
    steps = [finding for finding in found(subject, "clock") if "stepped" in finding.message]
    assert [(finding.level, "-00:01:01.500" in finding.message) for finding in steps] == [
        (Level.ADVICE, True)
    ]


def test_the_last_step_back_is_reported_with_its_reopened_span(subject: Subject) -> None:
    back = {
        "event": "runner.clock_stepped",
        "step_s": -7200.0,
        "time": "2999-01-01T00:00:00.000000Z",
    }
    back |= {
        "reopened_from": "2999-01-01T00:00:00.000000Z",
        "reopened_until": "2999-01-01T02:00:00.000000Z",
    }
    forward = back | {"step_s": 30.0, "reopened_from": None, "reopened_until": None}
    subject.monitor_log.write_text("".join(json.dumps(each) + "\n" for each in (back, forward)))
    first, second = (finding for finding in found(subject, "clock") if "stepped" in finding.message)
    assert "to 2999-01-01T02:00:00.000000Z, fires run only on time" in first.message
    assert second.message == "the clock was stepped by 00:00:30.000 at 2999-01-01T00:00:00.000000Z"
    assert "misfired" not in f"{first}{second}"


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("{log} {{\n  daily\n  copytruncate\n}}\n", Level.WARNING),
        (
            '/var/log/x {{ weekly }}\n"{folder}/*.jsonl" /var/log/y\n{{\n  copytruncate\n}}\n',
            Level.WARNING,
        ),
        ("{log} {{\n  create\n  # copytruncate\n}}\n", Level.OK),
        ("/var/log/x {{ copytruncate }}\n", None),
    ],
)
def test_a_rotation_that_loses_lines_is_reported(
    subject: Subject, text: str, level: Level | None
) -> None:
    subject.logrotate.mkdir()
    (subject.logrotate / "runner").write_text(
        text.format(log=subject.monitor_log, folder=subject.monitor_log.parent)
    )
    assert [finding.level for finding in found(subject, "rotation")] == ([level] if level else [])


def test_a_max_running_above_the_open_files_limit_is_reported(subject: Subject) -> None:
    # No kernel allows that many: a container may allow 10^9 open files.
    done = doctor(subject, "--max-running", "1000000000")
    assert "--max-running allows more" in done.stdout
    assert "LimitNOFILE=4000000064" in done.stdout


def test_the_file_system_of_a_path_is_found_by_its_device(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    lines = [
        "22 1 0:77 / /other rw - tmpfs tmpfs rw",
        (
            f"23 1 {os.major(device)}:{os.minor(device)} /sub /place\\040with\\040blanks rw "
            f"shared:1 - nfs4 server:/x rw"
        ),
    ]
    assert file_system_of(tmp_path, "\n".join(lines)) == "nfs4"
    assert file_system_of(tmp_path, lines[0]) == ""


def test_links_beyond_the_limit_of_watches_are_reported(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notification_checks, "file_system_of", lambda _path, _mountinfo: "ext4")
    monkeypatch.setattr("runner.watching.watched_links.MOST_FOLDERS", 3)
    large = subject.jobs.with_name("large")
    (large / "a" / "b").mkdir(parents=True)
    (subject.jobs / "large").symlink_to("../large")
    assert [finding.level for finding in found(subject, "notification")] == [Level.OK]
    (large / "c").mkdir()
    assert (
        f"only polling finds edits in {large}"
        in only(subject, "notification", Level.ADVICE).message
    )


@pytest.fixture
def is_on_nfs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for module in (machine_checks, notification_checks):
        monkeypatch.setattr(module, "file_system_of", lambda _path, _mountinfo: "nfs4")
    yield


@pytest.mark.usefixtures("is_on_nfs")
def test_a_network_file_system_is_advice_for_requests_and_a_problem_for_a_store(
    subject: Subject,
) -> None:
    assert "does not notify of changes" in only(subject, "notification", Level.ADVICE).message
    assert "on nfs4" in only(subject, "room", Level.PROBLEM).message


@pytest.mark.parametrize("harm", ["emptied", "damaged"])
@pytest.mark.sqlite_only("it is about the file of a store")
def test_an_unusable_store_is_reported_alike_by_every_command_with_what_helps(
    place: Place, harm: str
) -> None:
    place.declare("hello", "true", "run_immediately")
    runner = place.start()
    place.await_finished("hello")
    assert place.stop(runner) == 0
    store = place.state / "store.sqlite3"
    store.write_bytes(b"" if harm == "emptied" else b"not a database" * 999)
    way_out = "To begin with an empty store, move it away and start again: mkdir "
    for command in ("start", "status", "ls"):
        refused = place.run(command)
        assert (refused.returncode, refused.stdout) == (1, ""), command
        assert f"the store {store} is " in refused.stderr, command
        assert way_out in refused.stderr, command
    examined = place.run("doctor").stdout
    assert way_out in examined
    assert "run doctor as the user" not in examined
