"""`runner restart` replaces the program of a runner and interrupts nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from support.place import GATE, Place, check_log, end_of, leaves_executions, wait_until
from support.process_world import is_dead

from runner.store.lock import owner_pid

NOW = "run_immediately"
ENDS_MEANWHILE = "until grep -q runner.stopped ../state/monitor.jsonl; do sleep 0.01; done; exit 5"


def test_executions_go_on_and_no_exit_code_gets_lost(place: Place) -> None:
    place.declare("plain", f"echo before; {GATE}; echo after; exit 7", NOW)
    place.declare("meanwhile", ENDS_MEANWHILE, NOW)
    place.declare("loud", f"{GATE}; echo x >&2", NOW, success={"fail_on_stderr": True})
    place.declare("wordy", f"{GATE}; echo FATAL", NOW, success={"fail_on_output": ["FATAL"]})
    place.declare("slow", "sleep 600", NOW, timeout="6s")
    place.declare("tried", 'test "$RUNNER_ATTEMPT" = 2', NOW, retry={"attempts": 2, "delay": "8s"})
    place.declare("queued", GATE, prevent_concurrent=True, on_overlap="queue")
    members = [{"name": "a", "shell": f"{GATE}; exit 0"}, {"name": "b", "shell": "true"}]
    place.write(
        "group.yaml", json.dumps({"process": {"group": {"members": members}}, "timing": NOW})
    )
    place.add_worker()
    runner = place.start()
    commands = [place.begin("exec", "queued") for _ in range(2)]
    for name in ("plain", "meanwhile", "loud", "wordy", "slow", "queued"):
        place.await_started(name)
    wait_until(lambda: place.events("execution.started", process="group/a"))
    place.await_finished("tried", attempt=1)
    wait_until(lambda: place.items("status")[0]["waiting"], what="one waits for the guard")

    for _ in range(2):
        done = place.run("restart")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"process {runner.pid};" in done.stdout
    place.open_gate()

    ends = {
        name: place.await_finished(name, group=None)[-1]
        for name in ("plain", "meanwhile", "loud", "wordy", "slow", "group")
    }
    assert {name: (end["status"], end["reason"]) for name, end in ends.items()} == {
        "plain": ("error", "exit_code"),
        "meanwhile": ("error", "exit_code"),
        "loud": ("error", "stderr"),
        "wordy": ("error", "output"),
        "slow": ("error", "timeout"),
        "group": ("success", None),
    }
    assert (ends["plain"]["exit_code"], ends["meanwhile"]["exit_code"]) == (7, 5)
    assert ends["plain"]["output_tail"] == "before\nafter\n"
    assert ends["slow"]["duration_s"] >= 6
    place.await_finished("tried", attempt=2, status="success")
    assert [end_of(command)[0] for command in commands] == [0, 0]
    assert len(place.finished("queued", status="success")) == 2
    assert [each["pid"] for each in place.events("runner.started")] == [runner.pid] * 3
    assert not place.events("execution.finished", status="system_restart")
    assert place.stop(runner) == 0
    check_log(place.log)


def test_no_other_runner_comes_in_between(place: Place) -> None:
    place.declare("tick", "true", {"schedule": {"frequency": "daily", "at": "02:00"}})
    runner = place.start()
    is_over, owners = Event(), set[int | None]()

    def watch() -> None:
        while not is_over.is_set():
            owners.add(owner_pid(place.state))

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            assert place.run("restart").returncode == 0
        finally:
            is_over.set()
        watching.result()
    assert owners == {runner.pid}
    assert place.stop(runner) == 0


@leaves_executions
def test_a_stop_while_the_program_is_replaced_ends_the_executions(place: Place) -> None:
    place.declare("slow", GATE, NOW)
    runner = place.start("--drain", "0s")
    (started,) = place.await_started("slow")
    command = place.begin("restart")
    wait_until(lambda: place.events("runner.stopped"), what="the former program's last record")
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(timeout=60) == 0
    end_of(command)
    (killed,) = place.finished("slow")
    assert (killed["status"], killed["reason"]) == ("killed", "runner_stopped")
    assert is_dead(started["pid"])


def test_a_process_that_ignores_its_stop_is_killed_after_a_restart(place: Place) -> None:
    line = "trap 'touch ../asked' TERM; until [ -e ../go ]; do sleep 0.1; done"
    place.declare("stubborn", line, NOW, stop_grace="5s")
    runner = place.start()
    place.await_started("stubborn")
    assert place.run("kill", "stubborn").returncode == 0
    wait_until(lambda: (place.folder / "asked").exists(), what="the stop signal")
    assert place.run("restart").returncode == 0
    (killed,) = place.await_finished("stubborn")
    assert (killed["status"], killed["reason"], killed["signal"]) == (
        "killed",
        "killed_by_user",
        signal.SIGKILL,
    )
    assert place.stop(runner) == 0


def test_a_program_that_does_not_work_is_refused_and_a_new_version_takes_over(
    place: Place,
) -> None:
    program = place.folder / "program.py"
    program.write_text("from runner.cli import main\nmain()\n")
    place.declare("slow", f"{GATE}; exit 3", NOW)
    with (place.folder / "console").open("wb") as console:
        runner = subprocess.Popen(
            [sys.executable, program, "start"],
            env=place.environment,
            cwd=place.folder,
            stdout=console,
            stderr=console,
        )
    place.await_started("slow")
    program.write_text("raise SystemExit('half installed')\n")
    refused = place.run("restart")
    assert (refused.returncode, refused.stderr) == (
        1,
        "runner: the installed program does not work, so the running one goes on: half installed\n",
    )
    program.write_text(
        "import runner\nrunner.__version__ = '9.8.7'\nfrom runner.cli import main\nmain()\n"
    )
    done = place.run("restart")
    assert (done.returncode, done.stdout) == (
        0,
        f"restarted: runner 9.8.7, process {runner.pid}; 1 execution went on\n",
    )
    place.open_gate()
    (ended,) = place.await_finished("slow")
    assert ended["exit_code"] == 3
    assert place.events("runner.started")[-1]["version"] == "9.8.7"
    runner.terminate()
    assert runner.wait(timeout=60) == 0


def test_without_a_runner_there_is_nothing_to_restart(place: Place) -> None:
    place.declare("slow", GATE)
    done = place.run("restart")
    assert done.returncode == 4
    assert "no runner is running" in done.stderr
