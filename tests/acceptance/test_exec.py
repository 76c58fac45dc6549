"""`runner exec`: its exit codes, its output and Ctrl-C, with a runner and without one."""

from __future__ import annotations

import signal

import pytest
from support.place import GATE, Place, Record, acts_alone, end_of, leaves_executions, wait_until

IS_THROUGH_A_RUNNER = pytest.mark.parametrize(
    "is_served",
    [pytest.param(True, id="through a runner"), pytest.param(False, id="alone", marks=acts_alone)],
)


def _started(place: Place, request: str) -> Record:
    (record,) = wait_until(
        lambda: place.events("execution.started", request), what=f"{request} has started"
    )
    return record


@IS_THROUGH_A_RUNNER
def test_the_exit_code_says_how_the_execution_ended(place: Place, is_served: bool) -> None:
    place.declare("bad", "exit 7")
    place.declare("zero", "exit 0", success={"exit_codes": [7]})
    place.declare("slow", GATE, timeout="100ms")
    place.declare("crash", "kill -KILL $$")
    place.write("absent.yaml", "process: {command: [no-such-program]}")
    if is_served:
        place.start()
    expected = {
        "bad": (7, ""),
        "zero": (1, "runner: zero: exit code 0 is not among `success.exit_codes`\n"),
        "slow": (124, "runner: slow: stopped after its timeout of 100ms\n"),
        "crash": (128 + 9, "runner: crash: ended by signal SIGKILL\n"),
        "absent": (125, "no-such-program"),
        "crahs": (125, "runner: there is no request 'crahs'; did you mean 'crash'?\n"),
    }
    for name, (code, message) in expected.items():
        done = place.run("exec", name)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert done.stderr == message if message.endswith("\n") else message in done.stderr
    records = wait_until(lambda: len(found := place.events("execution.finished")) == 5 and found)
    assert {record["request"]: record["reason"] for record in records} == {
        "bad": "exit_code",
        "zero": "exit_code",
        "slow": "timeout",
        "crash": "signal",
        "absent": "spawn_failed",
    }


@IS_THROUGH_A_RUNNER
def test_output_is_shown_byte_for_byte_as_it_is_written(place: Place, is_served: bool) -> None:
    place.declare("bytes", rf"printf '\377\000first'; {GATE}; echo last >&2")
    if is_served:
        place.start()
    command = place.begin("exec", "bytes")
    assert command.stdout is not None
    assert command.stdout.read(7) == b"\xff\x00first"
    place.open_gate()
    assert end_of(command) == (0, b"last\n", "")
    (record,) = place.await_finished(
        "bytes"
    )  # the command reads it from the store, perhaps before the log has it
    assert (record["channel"], record["requested_by"], record["generation"]) == (
        "direct",
        place.person,
        None,
    )
    assert record["output_tail"] == "\ufffd\x00firstlast\n"


@IS_THROUGH_A_RUNNER
def test_ctrl_c_kills_the_execution_and_the_record_says_who(place: Place, is_served: bool) -> None:
    place.declare("slow", GATE)
    if is_served:
        place.start()
    command = place.begin("exec", "slow")
    _started(place, "slow")
    command.send_signal(signal.SIGINT)
    assert end_of(command) == (128 + 15, b"", f"runner: slow: killed by {place.person}\n")
    (record,) = place.await_finished("slow")
    assert (record["status"], record["reason"], record["requested_by"]) == (
        "killed",
        "killed_by_user",
        place.person,
    )


def test_a_concurrent_execution_is_refused(place: Place) -> None:
    place.declare("sole", GATE, prevent_concurrent=True)
    place.start()
    first = place.begin("exec", "sole")
    _started(place, "sole")
    second = place.run("exec", "sole")
    assert (second.returncode, second.stderr) == (
        125,
        "runner: sole: Concurrent attempt to execute\n",
    )
    place.open_gate()
    assert end_of(first)[0] == 0


@leaves_executions
def test_a_stopping_runner_refuses_exec(place: Place) -> None:
    place.declare("slow", GATE, "run_immediately")
    place.declare("late", "true")
    process = place.start("--drain", "1h")
    _started(place, "slow")
    process.terminate()
    wait_until(lambda: "stopping: " in place.console(), what="the signal is heeded")
    refused = place.run("exec", "late")
    assert (refused.returncode, refused.stderr) == (125, "runner: the runner is stopping\n")
    place.open_gate()
    assert process.wait(timeout=60) == 0
    assert [record["status"] for record in place.finished("slow")] == ["success"]
    assert not place.finished("late")


@pytest.mark.sqlite_only("in a fleet, exec waits for the next leader")
def test_exec_reports_that_the_runner_was_killed(place: Place) -> None:
    place.declare("slow", GATE)
    runner = place.start()
    command = place.begin("exec", "slow")
    started = _started(place, "slow")
    place.stop(runner, by=signal.SIGKILL)
    code, _, message = end_of(command)
    assert code == 4
    assert message.startswith("runner: the runner ended meanwhile; ")
    assert started["execution"] in message
    place.open_gate()


@acts_alone
def test_exec_without_a_runner_leaves_executions_of_the_former_runner_alone(place: Place) -> None:
    place.declare("first", GATE, "run_immediately")
    place.declare("waits", "true", "run_immediately")
    place.declare(
        "mine", "cp ../new.yaml new.yaml; touch first.yaml; rm gone.yaml; sleep 0.7; echo done"
    )
    place.declare("gone", "true", {"schedule": {"frequency": "daily", "at": "02:00"}})
    (place.folder / "new.yaml").write_text("{process: {shell: 'true'}, timing: run_immediately}")
    runner = place.start("--max-running", "1")
    wait_until(lambda: place.items("status")[0]["waiting"], what="one waits")
    (running,) = wait_until(lambda: place.events("execution.started"))
    place.stop(runner, by=signal.SIGKILL)
    place.open_gate()
    count = len(place.records())

    done = place.run("exec", "mine")
    assert (done.returncode, done.stdout) == (0, "done\n")
    reported = [(record["event"], record["request"]) for record in place.records()[count:]]
    if running["request"] == "first":
        # Besides its own records it may only record that the former process has ended.
        its_end = {("execution.finished", "first"), ("alert.opened", "first")}
        reported = [each for each in reported if each not in its_end]
    assert reported == [("execution.started", "mine"), ("execution.finished", "mine")]

    place.start()
    assert len(place.await_finished("waits")) == 1
    assert len(place.await_finished("new")) == 1
    assert [record["status"] for record in place.await_finished("first")] == ["system_restart"]
    wait_until(lambda: place.events("request.removed", "gone"))


def test_a_closed_pipe_loses_no_record(place: Place) -> None:
    place.declare("chatty", "seq 100000")
    with place.acted_on():
        command = place.begin("exec", "chatty")
        assert command.stdout is not None
        assert command.stdout.readline() == b"1\n"
        command.stdout.close()
        assert command.stderr is not None
        with command.stderr:
            assert (command.wait(timeout=60), command.stderr.read()) == (0, b"")
    (record,) = place.finished("chatty")
    assert (record["status"], record["output_bytes"]) == ("success", 588895)


@acts_alone
def test_simultaneous_execs_without_a_runner_all_finish(place: Place) -> None:
    names = ["one", "two", "three"]
    for name in names:
        place.declare(name, f"sleep 0.2; echo {name}")
    commands = [place.begin("exec", name) for name in names]
    assert [end_of(command) for command in commands] == [
        (0, f"{name}\n".encode(), "") for name in names
    ]
    for name in names:
        assert [record["status"] for record in place.finished(name)] == ["success"]


def test_the_cpu_time_of_a_process_is_below_the_duration_of_its_execution(
    place: Place,
) -> None:
    place.write("quick.yaml", "process: {command: ['true']}")
    runner = place.start()
    for _ in range(10):
        place.run("exec", "quick")
    assert place.stop(runner) == 0
    records = place.finished("quick")
    assert len(records) == 10
    assert [each for each in records if each["cpu_s"] > each["duration_s"]] == []
