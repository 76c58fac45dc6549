"""Programs that misbehave, side by side in one runner: each leaves exactly its record
and affects no other.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.misbehaving import EXECUTABLE, LIMIT, PROGRAMS, Program
from support.place import Place, Record, wait_until

from runner.values import parse_instant

NOW = "run_immediately"
MARK = "MISBEHAVING_TEST"
LONGEST_LINE = 32 * 1024
NEIGHBOUR = {"schedule": {"frequency": "secondly", "misfire": "fire_all"}}
LATENESS_S = 30.0  # on a busy machine; waiting for a program takes longer
QUICK = 50
_IGNORED_BY_DEFAULT = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
_STOPPING = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}


def _declare(place: Place, requests: dict[str, dict[str, Any]]) -> None:
    """Write one file with many `run_immediately` requests."""
    work = place.folder / "work"
    work.mkdir(exist_ok=True)
    documents = [
        {"name": name, "process": {"directory": "../work", **process}, "timing": NOW}
        for name, process in requests.items()
    ]
    place.write("programs.yaml", "\n---\n".join(map(json.dumps, documents)))


def _write_files(place: Place, program: Program) -> None:
    for name, text in program.files.items():
        path = place.folder / "work" / name
        path.write_text(text)
        path.chmod(0o755 if name in EXECUTABLE else 0o644)


def _await_all(place: Place, names: set[str], *, within_s: float) -> dict[str, Record]:
    """Wait until each request has ended; return one record of each."""
    wait_until(
        lambda: names <= {record["request"] for record in place.events("execution.finished")},
        within_s=within_s,
    )
    records = [
        record for record in place.events("execution.finished") if record["request"] in names
    ]
    assert len(records) == len(names), "something ran twice"
    return {record["request"]: record for record in records}


def _children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def _marked(place: Place) -> Iterator[int]:
    """Yield the processes whose environment holds this test's mark."""
    mark = f"{MARK}={place.folder}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                yield int(path.parent.name)


def _check_neighbours(place: Place) -> None:
    """Check that the neighbouring requests missed no fire and waited for no program."""
    records = place.finished("neighbour")
    instants = [parse_instant(record["scheduled_for"]) for record in records]
    assert sorted(instants) == [
        min(instants) + timedelta(seconds=number) for number in range(len(instants))
    ]
    wrong = [
        record
        for record in records
        if record["status"] != "success" or record["lateness_s"] >= LATENESS_S
    ]
    assert not wrong, json.dumps(wrong, indent=1)


@pytest.mark.timeout(240)
@pytest.mark.sqlite_only("processes are children of a worker, and outputs are in the store")
def test_each_program_leaves_only_its_record_and_delays_no_other(place: Place) -> None:
    place.environment[MARK] = str(place.folder)
    quick = {f"quick-{number}": {"command": ["true"]} for number in range(QUICK)}
    _declare(place, {name: program.process for name, program in PROGRAMS.items()} | quick)
    for program in PROGRAMS.values():
        _write_files(place, program)
    (place.folder / "perch").mkdir()
    place.declare("neighbour", "true", NEIGHBOUR)
    runner = place.start()
    records = _await_all(
        place, {*PROGRAMS, *quick}, within_s=50
    )  # the orphans of some programs would run for a minute or two
    wait_until(lambda: not _children(runner.pid), within_s=40, what="nothing of theirs is left")
    bounded = [
        Path(records[name]["output_file"])
        for name, each in PROGRAMS.items()
        if "output_limit" in each.process
    ]
    wait_until(
        lambda: {output.stat().st_size for output in bounded} == {LIMIT}, what="outputs are cut"
    )
    place.await_finished("neighbour", count=2)
    assert place.stop(runner) == 0
    assert not list(_marked(place))

    wrong = [
        records[name]
        for name, program in PROGRAMS.items()
        if not program.is_as_recorded(records[name])
    ]
    assert not wrong, json.dumps(wrong, indent=1)
    assert all(records[name]["exit_code"] == 0 for name in quick)
    _check_neighbours(place)
    assert max(map(len, place.log.read_bytes().splitlines(keepends=True))) < LONGEST_LINE
    assert {path.name for path in place.folder.iterdir()} == {
        "jobs.d",
        "work",
        "state",
        "console.1",
    }
    assert {path.name for path in place.jobs.iterdir()} == {"programs.yaml", "neighbour.yaml"}


@pytest.mark.campaign
@pytest.mark.timeout(240)
def test_each_signal_that_ends_a_process_is_recorded(place: Place) -> None:
    numbers = sorted(
        signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, *_IGNORED_BY_DEFAULT, *_STOPPING}
    )
    _declare(
        place,
        {f"dies-{number}": {"shell": f"ulimit -c 0; kill -{number:d} $$"} for number in numbers},
    )
    runner = place.start()
    records = _await_all(place, {f"dies-{number}" for number in numbers}, within_s=120)
    assert place.stop(runner) == 0
    reported = {name: (record["reason"], record["signal"]) for name, record in records.items()}
    assert reported == {f"dies-{number}": ("signal", number) for number in numbers}
    assert all(record["message"].startswith("ended by signal ") for record in records.values())


@pytest.mark.campaign
@pytest.mark.timeout(240)
def test_a_thousand_simultaneous_ends_are_all_recorded(place: Place) -> None:
    names = {f"quick-{number}" for number in range(1000)}
    _declare(place, {name: {"command": ["true"]} for name in names})
    runner = place.start()
    records = _await_all(place, names, within_s=120)
    assert place.stop(runner) == 0
    assert {(record["status"], record["exit_code"]) for record in records.values()} == {
        ("success", 0)
    }


@pytest.mark.campaign
@pytest.mark.timeout(240)
def test_300_mb_of_output_take_no_memory(place: Place) -> None:
    _declare(place, {"much": {"shell": r"head -c 300000000 /dev/zero | tr '\0' ."}})
    runner = place.start()
    before = _peak_kb(runner.pid)
    record = _await_all(place, {"much"}, within_s=120)["much"]
    assert (record["status"], record["output_bytes"], len(record["output_tail"])) == (
        "success",
        300_000_000,
        4096,
    )
    assert _peak_kb(runner.pid) - before < 20_000
    assert place.stop(runner) == 0


def _peak_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
