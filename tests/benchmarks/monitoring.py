"""The newest failures of a long monitor log: Runner's reader, its command, and jq."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.harness import Result, Setting, Target, alternately, in_unit
from benchmarks.service import RUNNER, wall_s

from runner.execution.output import output_path
from runner.lifecycle import Channel, ExecutionStatus, Reason
from runner.monitor.event_facts import ExecutionFacts, OutcomeFacts
from runner.monitor.events import execution_finished
from runner.monitor.reading import Filter, newest
from runner.monitor.records import Recorder
from runner.requests.model import Context, Source
from runner.values import new_id

_WANTED = 20
_BLOCK = 10_000
_FAILURE_EVERY = 100
_FAILURES = Filter(statuses=frozenset({"error"}))
_NOTHING = Filter(statuses=frozenset({"killed"}))
_LIMITS_MS = (100, 100, 400)
_JQ = 'select(.event == "execution.finished" and .status == "error")'


def measure(setting: Setting) -> Result:
    """Measure on a log of `size` records, one in a hundred of which failed."""
    log = setting.folder / "monitor.jsonl"
    write_log(log, setting.size)
    expected = min(_WANTED, setting.size // _FAILURE_EVERY)
    command: list[str | Path] = [
        *RUNNER,
        "monitor",
        "--monitor-log",
        log,
        "--status",
        "error",
        "-n",
        str(_WANTED),
    ]
    measures: dict[str, Callable[[int], float]] = {
        "reading.newest": lambda _: _newest_s(log, _FAILURES, expected),
        "runner monitor --status error": lambda _: wall_s(command),
        "reading.newest, without a hit": lambda _: _newest_s(log, _NOTHING, 0),
    }
    notes = [
        (
            f"{log.stat().st_size / 1e6:.0f} MB; {_BLOCK} records of our Recorder, "
            f"repeated; in the page cache"
        )
    ]
    if jq := setting.peers.jq:
        measures["jq | tail"] = lambda _: _jq_s(jq, log, expected)
    else:
        notes.append("jq: not measured, it is not installed")
    found = alternately(setting.rounds, measures)
    series = in_unit(
        {label: [value * 1000 for value in values] for label, values in found.items()}, "ms"
    )
    return Result(
        ours=series[:3],
        beside=series[3:],
        targets=tuple(
            Target(what=each.label, unit="ms", value=each.median, limit=limit)
            for each, limit in zip(series, _LIMITS_MS, strict=False)
        ),
        notes=tuple(notes),
    )


def write_log(path: Path, count: int) -> None:
    """Write that many finished records in the runner's format."""
    recorder, begin = Recorder(new_id(), "host"), datetime.now(UTC)
    lines = [record_line(recorder, begin, number) for number in range(min(_BLOCK, count))]
    block = b"".join(lines)
    with path.open("wb") as log:
        for _ in range(count // len(lines)):
            log.write(block)
        log.write(b"".join(lines[: count % len(lines)]))


def record_line(recorder: Recorder, begin: datetime, number: int, requests: int = 500) -> bytes:
    """Return the line of an execution; one in a hundred failed."""
    at, is_failure = (
        begin + timedelta(seconds=number),
        number % _FAILURE_EVERY == _FAILURE_EVERY - 1,
    )
    execution = new_id()
    facts = ExecutionFacts(
        execution=execution,
        request=f"request-{number % requests}",
        process=f"request-{number % requests}",
        channel=Channel.PROCESS_SCHEDULER,
        scheduled_for=at - timedelta(seconds=2),
        started=at - timedelta(seconds=1.99),
        lateness=timedelta(seconds=0.01),
        attempt=1,
        generation=1,
        context=Context(),
        labels={},
        owner=None,
        pid=1000 + number,
        output_file=output_path("/var/lib/runner/outputs", execution),
        source=Source(file=f"request-{number % requests}.yaml", line=1, sha256="a9" * 32),
        git_commit="c3" * 20,
    )
    outcome = OutcomeFacts(
        status=ExecutionStatus.ERROR if is_failure else ExecutionStatus.SUCCESS,
        reason=Reason.EXIT_CODE if is_failure else None,
        message="exit code 3" if is_failure else None,
        ended=at,
        duration=timedelta(seconds=1.99),
        exit_code=3 if is_failure else 0,
        cpu_s=0.125,
        max_rss_bytes=12_345_678,
        output_tail=f"posted {number} documents\n",
        output_bytes=24,
        output_truncated=False,
    )
    return recorder.line(execution_finished(facts, outcome), at)


def _newest_s(log: Path, matches: Filter, expected: int) -> float:
    begun_s = time.perf_counter()
    found = newest(log, _WANTED, matches=matches)
    taken_s = time.perf_counter() - begun_s
    if len(found) != expected or any(record["status"] not in matches.statuses for record in found):
        raise ValueError(f"{len(found)} records were found, not {expected}")
    return taken_s


def _jq_s(jq: str, log: Path, expected: int) -> float:
    begun_s = time.perf_counter()
    with subprocess.Popen([jq, "-c", _JQ, log], stdout=subprocess.PIPE) as selecting:
        tail = subprocess.run(
            ["tail", "-n", str(_WANTED)],
            stdin=selecting.stdout,
            capture_output=True,
            check=True,
            timeout=600,
        )
    taken_s = time.perf_counter() - begun_s
    if (count := tail.stdout.count(b"\n")) != expected:
        raise ValueError(f"jq found {count} failures, not {expected}")
    return taken_s
