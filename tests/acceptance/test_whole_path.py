"""A whole session of a person: edit files, give commands, follow the log, stop and
start again.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from support.place import GATE, Place, Record, wait_until

from runner.values import instant_text

HANG_S = 15.0
WELCOME = """
process: {shell: 'echo welcome'}
timing: run_immediately
"""
TICK = """
process: {{shell: 'echo {word}'}}
timing: {{schedule: {{frequency: secondly}}}}
"""


def _next_after(place: Place, record: Record, request: str) -> Record:
    """Wait for an execution of `request` scheduled after a record was written; ignore
    misses.
    """
    found: list[Record] = wait_until(
        lambda: [
            each
            for each in place.finished(request)
            if each["started"] and each["scheduled_for"] > record["time"]
        ],
        what=f"another execution of {request}",
    )
    return found[0]


def _last(place: Place, event: str) -> Record:
    return place.events(event)[-1]


def test_from_the_first_file_to_a_second_start(place: Place) -> None:
    place.write("welcome.yaml", WELCOME)
    process = place.start()
    (welcome,) = place.await_finished("welcome")
    assert (welcome["status"], welcome["output_tail"]) == ("success", "welcome\n")

    place.write("tick.yaml", TICK.format(word="one"))
    first = place.await_finished("tick", count=2, status="success")
    assert [each["output_tail"] for each in first] == ["one\n"] * len(first)
    assert all(each["scheduled_for"].endswith(".000000Z") for each in first)

    place.write("tick.yaml", TICK.format(word="two"))
    edited = wait_until(lambda: place.events("runner.reloaded", changed=["tick"]))[-1]
    assert edited["message"] == "1 changed: tick (process)"
    assert edited["duration_s"] > 0
    assert _next_after(place, edited, "tick")["output_tail"] == "two\n"

    place.write("tick.yaml", "process: {shel: oops}\n")
    (rejected,) = wait_until(lambda: place.events("request.rejected"))
    assert "did you mean `shell`?" in [problem["suggestion"] for problem in rejected["problems"]]
    assert "the last good version of tick stays active" in rejected["message"]
    assert _next_after(place, rejected, "tick")["output_tail"] == "two\n"
    assert "invalid" in place.run("ls").stdout

    place.write("tick.yaml", TICK.format(word="three"))
    fixed = wait_until(
        lambda: [each for each in place.events("runner.reloaded") if "fixed" in each["message"]]
    )[-1]
    assert _next_after(place, fixed, "tick")["output_tail"] == "three\n"

    assert place.run("unschedule", "tick").stdout == "tick: unscheduled (differs from its file)\n"
    (unscheduled,) = wait_until(lambda: place.events("request.unscheduled", "tick"))
    (tick,) = [
        json.loads(line)
        for line in place.run("ls", "-o", "json").stdout.splitlines()
        if '"tick"' in line
    ]
    assert tick["status"] == "unscheduled"
    assert tick["drift"].startswith("unscheduled by ")

    (place.jobs / "tick.yaml").unlink()
    wait_until(lambda: place.events("request.removed", "tick"))
    place.write("other.yaml", TICK.format(word="other"))
    _next_after(place, unscheduled, "other")
    assert place.stop(process) == 0
    assert all(each["scheduled_for"] <= unscheduled["time"] for each in place.finished("tick"))
    assert _last(place, "runner.stopped")["signal"] == 15
    second = place.start()
    place.write("proof.yaml", TICK.format(word="still alive"))
    place.await_finished("proof", status="success")
    assert place.stop(second) == 0
    assert len(place.finished("welcome")) == 1
    assert len(place.events("execution.started", "welcome")) == 1


def test_an_edit_comes_into_force_while_other_requests_run(place: Place) -> None:
    """The benchmarks measure how quickly; here only a hang is too slow."""
    place.write("tick.yaml", TICK.format(word="one"))
    place.start()
    place.await_finished("tick", status="success")
    written_s = time.time()
    place.write("now.yaml", WELCOME)
    (record,) = place.await_finished("now")
    assert _utc(written_s) < record["scheduled_for"] < _utc(written_s + HANG_S)


def _utc(epoch_s: float) -> str:
    return instant_text(datetime.fromtimestamp(epoch_s, UTC))


def test_a_process_gets_its_identity_in_its_environment(place: Place) -> None:
    place.write(
        "who.yaml",
        """
process:
  shell: 'env | grep ^RUNNER_ | sort; echo "$GREETING"; pwd'
  environment: {GREETING: hello}
context: {client: acme, organization: north}
timing: run_immediately
""",
    )
    place.start()
    (record,) = place.await_finished("who")
    reported = dict(
        line.split("=", 1)
        for line in record["output_tail"].splitlines()
        if line.startswith("RUNNER_")
    )
    assert (
        reported.items()
        >= {
            "RUNNER_EXECUTION_ID": record["execution"],
            "RUNNER_REQUEST": "who",
            "RUNNER_SCHEDULED_FOR": record["scheduled_for"],
            "RUNNER_CHANNEL": "process_scheduler",
            "RUNNER_ATTEMPT": "1",
            "RUNNER_CLIENT": "acme",
            "RUNNER_ORGANIZATION": "north",
        }.items()
    )
    assert record["output_tail"].splitlines()[-2:] == ["hello", str(place.jobs)]
    assert record["context"] == {"client": "acme", "organization": "north"}


def test_a_process_that_cannot_start_leaves_an_error_with_the_reason(place: Place) -> None:
    place.write("program.yaml", "process: {command: [no-such-program]}\ntiming: run_immediately\n")
    place.write(
        "folder.yaml", "process: {shell: 'true', directory: nowhere}\ntiming: run_immediately\n"
    )
    place.write("denied.yaml", "process: {command: [./denied.yaml]}\ntiming: run_immediately\n")
    place.start()
    for request, words in (
        ("program", "no-such-program"),
        ("folder", "nowhere"),
        ("denied", "denied.yaml"),
    ):
        (record,) = place.await_finished(request)
        assert (record["status"], record["reason"]) == ("error", "spawn_failed")
        assert words in record["message"]
        assert record["started"] is None


def test_concurrent_fires_are_skipped_and_max_running_makes_executions_wait(place: Place) -> None:
    slow = (
        "process: {shell: sleep 600, prevent_concurrent: true}\ntiming: {schedule: "
        "{frequency: secondly}}\n"
    )
    place.write("slow.yaml", slow)
    process = place.start("--drain", "0s")
    skipped = place.await_finished("slow", status="skipped", reason="concurrent", count=2)
    assert skipped[0]["message"] == "Concurrent attempt to execute"
    assert skipped[0]["duration_s"] == 0
    place.stop(process)

    (place.jobs / "slow.yaml").unlink()
    for name in ("one", "two", "three"):
        place.declare(name, GATE, "run_immediately")
    place.start("--max-running", "1")
    wait_until(lambda: _counts(place) == (1, 2), what="one runs, two wait")
    place.open_gate()
    records = sorted(
        (place.await_finished(name)[0] for name in ("one", "two", "three")),
        key=lambda r: r["started"],
    )
    assert [record["status"] for record in records] == ["success"] * 3
    for earlier, later in pairwise(records):
        assert later["started"] >= earlier["ended"]


def _counts(place: Place) -> tuple[int, int]:
    """Return how many executions run, and how many wait."""
    (status,) = place.items("status")
    return len(status["running"]), len(status["waiting"])


def test_a_timeout_ends_the_whole_tree(place: Place) -> None:
    """The stop signal is one that the processes ignore from the start: a trap might be
    set after the timeout.
    """
    place.write(
        "stubborn.yaml",
        """
process:
  shell: "sleep 600 & sleep 600"
  stop_signal: URG
  timeout: 300ms
  stop_grace: 200ms
timing: run_immediately
""",
    )
    place.start()
    (record,) = place.await_finished("stubborn")
    assert (record["status"], record["reason"], record["signal"]) == ("error", "timeout", 9)
    assert record["message"] == "stopped after its timeout of 300ms"
    wait_until(lambda: not _processes_of(record["execution"]), what="the tree is gone")


def _processes_of(execution: str) -> list[str]:
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"RUNNER_EXECUTION_ID={execution}".encode() in environment.read_bytes():
                found.append(environment.parent.name)
        except OSError:
            continue
    return found
