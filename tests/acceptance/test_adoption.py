"""Executions that outlive their runner: the next runner adopts them with their guards,
process trees, limits and follow-ups.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.place import GATE, PERSON, SECONDLY, Place, Record, end_of, wait_until

from runner.execution.trees.proc import execution_of, look_at_all
from runner.store.opening import read_store
from runner.store.rows import Phase

pytestmark = pytest.mark.sqlite_only("a worker outlives a leader and knows exit codes")

NOW = "run_immediately"
_TREE = "setsid sh -c 'setsid sleep 300 & wait' & sleep 300 & echo ready; wait"
_FAILING = GATE.replace("../go", "../fail")


def _living(execution: str) -> set[int]:
    """Return the living processes whose environment holds an execution's id."""
    return {
        pid
        for pid, seen in look_at_all().items()
        if not seen.stat.is_dead and execution_of(pid) == execution
    }


def _started(place: Place, process: str) -> Record:
    (record,) = wait_until(
        lambda: place.events("execution.started", process=process), what=f"{process} has started"
    )
    return record


def _on_their_way(place: Place) -> list[tuple[Phase, str]]:
    with closing(read_store(place.store)) as reader:
        return [(row.phase, row.request) for row in reader.executions()]


def _output(record: Record) -> str:
    return Path(record["output_file"]).read_text()


def _is_ready(record: Record) -> bool:
    return "ready" in _output(record)


def _crash(place: Place, runner: Any) -> None:
    assert place.stop(runner, by=signal.SIGKILL) == -signal.SIGKILL


def test_after_a_crash_kill_stops_whole_trees_and_guards_are_kept_until_the_end(
    place: Place,
) -> None:
    place.declare("tree", _TREE, NOW, stop_grace="5s")
    place.declare("stubborn", f"trap '' TERM; {_TREE}; wait", NOW, stop_grace="300ms")
    place.declare("alone", f"echo ready; {GATE}", NOW, prevent_concurrent=True, on_overlap="queue")
    # The first attempts fail just before the crash. The delay is long enough for the
    # crash to come before the next ones.
    retry = {"attempts": 100, "delay": "4s"}
    tried = f'{_FAILING}; test -e ../go && test "$RUNNER_ATTEMPT" -gt 1'
    place.declare("tried", tried, NOW, retry=retry, prevent_concurrent=True)
    member = {"name": "a", "shell": tried, "retry": retry}
    group = {"group": {"members": [member, {"name": "b", "shell": "true"}]}}
    place.write("chain.yaml", json.dumps({"process": group, "timing": NOW}))
    runner = place.start()
    started = {name: _started(place, name) for name in ("tree", "stubborn", "alone")}
    for record in started.values():
        wait_until(partial(_is_ready, record))
    trees = {name: wait_until(partial(_whole_tree, started[name])) for name in ("tree", "stubborn")}
    (place.folder / "fail").touch()
    wait_until(
        lambda: place.finished("tried") and place.finished("chain"),
        what="the first attempts have failed",
    )
    _crash(place, runner)
    assert all(_living(started[name]["execution"]) == trees[name] for name in trees), "they run on"

    runner = place.start()
    queued = place.begin("exec", "alone")
    assert place.run("exec", "tried").returncode == 125, "the chain of attempts has its guard"
    wait_until(lambda: (Phase.WAITING, "alone") in _on_their_way(place))
    assert place.run("kill", "tree", "stubborn").returncode == 0
    for name in trees:
        (end,) = place.await_finished(name)
        assert (end["status"], end["reason"], end["requested_by"]) == (
            "killed",
            "killed_by_user",
            PERSON,
        )
        assert (end["execution"], end["pid"]) == (started[name]["execution"], started[name]["pid"])
        assert not _living(end["execution"])
    assert not place.finished("alone")
    place.open_gate()
    first, second = place.await_finished("alone", count=2)
    assert end_of(queued)[0] == 0
    assert (first["status"], first["exit_code"], second["status"]) == (
        "system_restart",
        None,
        "success",
    )
    assert "its exit code is unknown" in first["message"]
    assert second["started"] >= first["ended"]
    place.await_finished("tried", status="success")
    _check_attempts([each for each in place.finished("tried") if each["channel"] != "direct"])
    place.await_finished("chain", process="chain")
    *attempts, second_member, group = place.finished("chain")
    _check_attempts(attempts)
    assert {each["process"] for each in attempts} == {"chain/a"}
    assert [
        (each["process"], each["attempt"], each["status"]) for each in (second_member, group)
    ] == [
        ("chain/b", 1, "success"),
        ("chain", 1, "success"),
    ]
    assert place.stop(runner) == 0


def _check_attempts(records: list[Record]) -> None:
    """Check that attempt numbers continue after the crash, and that all but the last failed."""
    failed = [(number, "error") for number in range(1, len(records))]
    assert failed
    assert [(each["attempt"], each["status"]) for each in records] == [
        *failed,
        (len(records), "success"),
    ]


def _whole_tree(record: Record) -> set[int] | None:
    """Return the processes of `_TREE` once all exist: three at least."""
    living = _living(record["execution"])
    names = list(map(_name_of, living))
    return living if names.count("sleep") == 2 and names.count("sh") == 2 else None


def _name_of(pid: int) -> str:
    """Return the name of a process's program; "" if it has just ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_moved_state_folder_works_at_its_new_place(place: Place) -> None:
    place.declare("first", f"echo ready; {GATE}", NOW)
    runner = place.start("--max-running", "1")
    first = _started(place, "first")
    wait_until(partial(_is_ready, first))
    place.declare("second", "echo written", NOW)
    wait_until(lambda: (Phase.QUEUED, "second") in _on_their_way(place))
    with closing(read_store(place.store)) as reader:
        nodes = {row.request: row.node for row in reader.executions()}
    assert nodes == {"first": first["host"], "second": None}
    _crash(place, runner)

    place.state = place.state.rename(place.folder / "moved")
    place.log = place.state / "monitor.jsonl"
    place.environment["RUNNER_STATE"] = str(place.state)
    runner = place.start("--max-running", "1")
    place.open_gate()
    (end,) = place.await_finished("second")
    assert Path(end["output_file"]).is_relative_to(place.state)
    assert _output(end) == "written\n"
    assert place.stop(runner) == 0


@pytest.mark.campaign
def test_preparations_of_the_launcher_outlast_a_crash_of_the_runner(place: Place) -> None:
    show = f"ulimit -n; umask; echo $TOKEN; {GATE}; echo $TOKEN"
    secrets = place.folder / "secrets"
    secrets.write_text("TOKEN=hush-hush\n")
    secrets.chmod(0o600)
    place.declare(
        "bound", show, NOW, environment_file=str(secrets), limits={"open_files": 99}, umask="0077"
    )
    place.declare("long", f"{GATE}; head -c 300000 /dev/zero; sleep 300", NOW, output_limit="100KB")
    is_root = os.geteuid() == 0
    if is_root:
        place.folder.chmod(0o755)
        _open_to_all(place.folder)
        place.declare("other", f"id -un; {GATE}; id -un", NOW, run_as={"user": "nobody"})
    names = ("bound", "long", "other") if is_root else ("bound", "long")
    runner = place.start()
    started = {name: _started(place, name) for name in names}
    wait_until(lambda: "*" in _output(started["bound"]))
    _crash(place, runner)
    runner = place.start()
    assert set(_on_their_way(place)) == {(Phase.RUNNING, name) for name in names}
    place.open_gate()
    (bound,) = place.await_finished("bound")
    limit, mask, *tokens = bound["output_tail"].split()
    assert (bound["status"], limit, mask) == ("system_restart", "99", "0077")
    assert len(tokens) == 2
    assert set("".join(tokens)) == {"*"}
    (long,) = place.await_finished("long")
    assert (long["status"], long["reason"]) == ("error", "output_limit")
    if is_root:
        (other,) = place.await_finished("other")
        assert (other["status"], other["output_tail"]) == ("system_restart", "nobody\nnobody\n")
    assert place.stop(runner) == 0
    assert "hush" not in place.log.read_text()


def _open_to_all(folder: Path) -> None:
    for parent in (folder, *folder.parents):
        if parent.owner() == "root" and parent != Path("/") and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)


# --- a slow or hanging program never delays another's fire
# ---------------------------------------------------------


@pytest.mark.campaign
@pytest.mark.timeout(300)
def test_campaign_a_secondly_request_fires_on_time_among_hanging_programs(place: Place) -> None:
    """Fire a secondly request next to 200 hanging programs and floods of output, then
    kill all.
    """
    place.declare("tick", "true", SECONDLY)
    runner = place.start()
    place.await_finished("tick", count=10)
    alone = [each["lateness_s"] for each in place.finished("tick")]
    for number in range(200):
        place.declare(
            f"hangs-{number}", "trap '' TERM; sleep 600 & wait; wait", NOW, stop_grace="20s"
        )
    place.declare("floods", "yes", NOW, output_limit="10MB", stop_grace="20s")
    place.declare("pipe", "yes | { sleep 600; }", NOW)
    wait_until(lambda: len(place.events("execution.started")) > 210, within_s=60)
    before = len(place.finished("tick"))
    place.await_finished("tick", count=before + 10)
    beside = [each["lateness_s"] for each in place.finished("tick")[before:]]
    names = [f"hangs-{number}" for number in range(200)]
    asked_s = time.monotonic()
    assert place.run("kill", *names).returncode == 0
    killed_s = time.monotonic() - asked_s
    before = len(place.finished("tick"))
    place.await_finished("tick", count=before + 10)
    stopping = [each["lateness_s"] for each in place.finished("tick")[before:]]
    fires = [each["scheduled_for"] for each in place.finished("tick")]
    print(
        f"lateness alone {max(alone)}, beside 200 hanging {max(beside)}, while they are "
        f"stopped {max(stopping)} s;"
        f" the command took {killed_s:.2f} s"
    )
    assert len(fires) == len(set(fires))
    assert not place.finished("tick", status="misfired")
    runner.terminate()
    wait_until(
        lambda: "stopping: " in place.console(),
        what="the first signal is heeded, the second one is one more",
    )
    assert place.stop(runner) == 0


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_campaign_commands_are_answered_while_five_thousand_fires_are_due(place: Place) -> None:
    """Time `status` and `kill` during a burst, relative to an idle runner; all 5,000
    are recorded.
    """
    count = 5000
    start = time.time() + 45
    text = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(start))}"
    timing = f"timing: {{run_later: {{start: {text}, misfire_grace: 10m}}}}\n"
    for number in range(count):
        (place.jobs / f"burst-{number:04}.yaml").write_text(
            f"process: {{command: [/bin/true]}}\n{timing}"
        )
    place.declare("victim", "sleep 300", NOW)
    place.start()
    wait_until(lambda: place.events("execution.started", "victim"), within_s=60)
    idle_s = min(_seconds_of(place, "status") for _ in range(3))
    wait_until(
        lambda: len(place.log.read_bytes().splitlines()) > count + 100,
        within_s=120,
        what="the burst began",
    )
    busy = {
        name: _seconds_of(place, *arguments)
        for name, arguments in
        # Fmt: skip
        {"status": ("status",), "kill": ("kill", "victim"), "status again": ("status",)}.items()
    }
    done = sum(b'"execution.finished"' in line for line in place.log.read_bytes().splitlines())
    wait_until(
        lambda: place.log.read_bytes().count(b'"event":"execution.finished"') == count + 1,
        within_s=240,
        what="all",
    )
    ends = [each for each in place.events("execution.finished") if each["request"] != "victim"]
    begun = [each["lateness_s"] for each in ends]
    ratios = ", ".join(
        f"{name} {seconds:.2f} s ({seconds / idle_s:.1f} x)" for name, seconds in busy.items()
    )
    print(
        f"{len(ends)} of {count} within {max(begun):.1f} s; at {done} ended, idle "
        f"{idle_s:.2f} s: {ratios}"
    )
    assert {each["status"] for each in ends} == {"success"}
    assert len({each["request"] for each in ends}) == count


def _seconds_of(place: Place, *arguments: str) -> float:
    begun_s = time.monotonic()
    done = place.run(*arguments, timeout_s=120)
    assert done.returncode == 0, done.stderr
    assert not re.search("Traceback", done.stderr)
    return time.monotonic() - begun_s
