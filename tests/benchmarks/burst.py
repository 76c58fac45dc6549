"""Many requests due at one instant: executions per second, compared with a bare loop,
APScheduler and cronstable.

The table shows where the runner's own thread spends its processor time for one of 1,000
executions, in µs under cProfile, which costs about as much again. "Before" is commit
27f7b55, measured in the same minutes, with the state on tmpfs.

                                                            before   now
    deciding: fires, states, claims, rows                      481   447
    the console, once nothing else waits                       423   367
    the end: record, result, row                               262   235
    the start: record, row                                     168   144
    reaping, pidfds, epoll                                     111   105
    the commits                                                 57    61
    the tail of its output                                      79    11
    ordering its start                                          24    27
    the log's appends                                           10    11
    all, without the profiler, up to the last record           453   296

An execution takes about 26 system calls of the runner, futexes apart: 15.5 in its own
thread, of which 3.6 are SQLite's writes, and 10.8 in the threads that start processes.
Before the file of an output was looked at once instead of twice, and the limit of open
files once instead of at each start, it took 28 in the same minutes (`perf trace -s`,
`strace -f`, state on tmpfs).

At real-time priority (`chrt -r 1`), which keeps other load away, the runner makes 0.26 to
0.36 of the bare loop's rate. Both processors are then busy for 80 to 87 % of the burst.
ms of processor time for one execution:

                                  bare loop   runner
    the process itself                 0.87     0.95
    the thread that decides            0.07     0.57 to 1.0
    all other threads                     -     0.42 to 0.73

So the runner's work is the difference, and not the threads (tests/README.md, "Cost", says
what was tried).

The loop "with claims, sessions, outputs, records" does the part of this that the contract
requires, without deciding anything.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks.harness import Result, Setting, Target, alternately, in_unit
from benchmarks.service import Service, end, epoch_s
from benchmarks.viewers import VIEWERS, memory_looked_at, page_looked_at

_HERE = Path(__file__).parent
_OURS, _DURABLE, _BARE = (
    "runner",
    "runner, due instant to last record in the log",
    "bare posix_spawn loop",
)
_BOUND = "the same with claims, sessions, outputs, records"
_WITHIN_S = 120.0
_LEADS_S = (4, 15, 60)  # until all are due; on a busy machine a runner starts more slowly
_TICK_S = 0.01  # file times of common kernels are this fine at best
_CRONSTABLE_ENTRY = """\
  - name: burst-{number}
    command:
      - /bin/true
    schedule: "{schedule}"
    utc: true
    captureStdout: false
    captureStderr: false
"""
_CRONSTABLE_LOGGING = """\
logging:
  version: 1
  disable_existing_loggers: false
  formatters:
    stamped:
      format: '%(created).6f %(message)s'
  handlers:
    console:
      class: logging.StreamHandler
      formatter: stamped
  root:
    level: INFO
    handlers:
      - console
"""
_STARTING = re.compile(r"^(\d+\.\d+) Starting job burst-", re.MULTILINE)
_ENDED = re.compile(r"^(\d+\.\d+) Job burst-\d+ exit code 0", re.MULTILINE)


def measure(setting: Setting) -> Result:
    """Measure `size` requests. Rates count from the first start to the last end, by
    each program's own records.
    """
    durable: list[float] = []
    bare: list[str | Path] = [sys.executable, "-I", _HERE / "bare_loop.py", str(setting.size)]
    viewers = min(setting.size, VIEWERS)
    page, memory = (
        Burst(beside=partial(looked_at, viewers=viewers))
        for looked_at in (page_looked_at, memory_looked_at)
    )
    measures: dict[str, Callable[[int], float]] = {
        _OURS: lambda number: runner_rate(setting.place(f"runner-{number}"), setting.size, durable),
        f"runner, with {viewers} viewers of its page": lambda number: runner_rate(
            setting.place(f"page-{number}"), setting.size, [], page
        ),
        f"runner, with {viewers} viewers of a server in memory": lambda number: runner_rate(
            setting.place(f"viewers-{number}"), setting.size, [], memory
        ),
        _BARE: lambda _: _printed(bare),
        _BOUND: lambda number: _printed([*bare, setting.place(f"bound-{number}")]),
    }
    if python := setting.peers.python:
        measures["APScheduler"] = lambda _: _printed(
            [python, _HERE / "apscheduler_burst.py", str(setting.size)]
        )
        measures["cronstable"] = lambda number: _cronstable(
            setting, setting.place(f"cronstable-{number}")
        )
    found = alternately(setting.rounds, measures)
    ours, with_page, with_viewers, *beside = in_unit(found, "/s")
    (written,) = in_unit({_DURABLE: durable}, "/s")
    ratio = ours.median / beside[0].median
    return Result(
        ours=(ours, with_page, with_viewers, written),
        beside=tuple(beside),
        targets=(
            Target(
                what="rate over the bare loop's", unit="×", value=ratio, limit=0.85, at_least=True
            ),
        ),
        notes=tuple(filter(None, [setting.peers.trouble])),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What runs at once, and how it ends. `prepare` may add settings; `beside` is entered
    when the runner is ready; `after` looks at the runner before it ends.
    """

    program: str = "/bin/true"
    status: str = "success"
    prepare: Callable[[Service], None] = lambda _: None
    beside: Callable[[Service], AbstractContextManager[object]] = lambda _: nullcontext()
    after: Callable[[Service, subprocess.Popen[bytes]], None] = lambda _service, _process: None


def runner_rate(folder: Path, count: int, durable: list[float], burst: Burst = Burst()) -> float:
    """Return Runner's rate; append to `durable` the rate from the due instant to the
    log's last record.
    """
    for lead_s in _LEADS_S:
        (place := folder / f"{lead_s}").mkdir()
        service = Service(place)
        burst.prepare(service)
        if (rate := _rate_if_up(service, count, lead_s, durable, burst)) is not None:
            return rate
    raise TimeoutError("the runner was not up before the requests were due")


def _rate_if_up(
    service: Service, count: int, lead_s: float, durable: list[float], burst: Burst
) -> float | None:
    """Return the same; None if the runner was not ready before the requests were due,
    in about `lead_s`.
    """
    due_s = int(time.time() + lead_s + count / 200)
    start = datetime.fromtimestamp(due_s, UTC).isoformat()
    for number in range(count):
        service.write(
            f"burst-{number}",
            f"process: {{command: [{burst.program}]}}\ntiming: {{run_later: {{start: {start}}}}}",
        )
    with service.running() as process, burst.beside(service):
        if time.time() > due_s:
            return None
        # Polling costs a little, so begin only when there can be a result.
        time.sleep(max(0.0, due_s - time.time() + count / 5000))
        size = service.wait_for(process, lambda: _settled(service.log, count), within_s=_WITHIN_S)
        durable.append(count / max(_TICK_S, service.log.stat().st_mtime - due_s))
        burst.after(service, process)
    records = service.records("execution.finished")
    ended = [record for record in records if record["status"] == burst.status]
    if len(ended) != count:
        raise ValueError(f"{len(ended)} of {count} ended as {burst.status}, in {size} bytes")
    spans = [(epoch_s(record["started"]), epoch_s(record["ended"])) for record in ended]
    return count / (max(end for _, end in spans) - min(begin for begin, _ in spans))


def _settled(log: Path, count: int) -> int:
    """Return the log's size once it holds that many ends. Read it only when it has
    stopped growing.
    """
    before = log.stat().st_size
    time.sleep(0.1)
    text = log.read_bytes() if log.stat().st_size == before else b""
    return before if text.count(b'"event":"execution.finished"') >= count else 0


def _cronstable(setting: Setting, folder: Path) -> float:
    """Return cronstable's rate by the times of its own log, from the first "Starting"
    to the last "exit code".
    """
    due = datetime.fromtimestamp(int(time.time() + 8 + setting.size / 60), UTC)
    schedule = f"{due.second} {due.minute} {due.hour} {due.day} {due.month} * {due.year}"
    entries = (
        _CRONSTABLE_ENTRY.format(number=number, schedule=schedule) for number in range(setting.size)
    )
    config, log = folder / "burst.yaml", folder / "log"
    config.write_text(f"{_CRONSTABLE_LOGGING}jobs:\n{''.join(entries)}")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [setting.peers.command("cronstable"), "-c", config],
            env=os.environ | {"TZ": "UTC", "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        until_s = due.timestamp() + _WITHIN_S
        while len(_ENDED.findall(log.read_text())) < setting.size and time.time() < until_s:
            time.sleep(0.5)
    finally:
        end(process)
    text = log.read_text()
    starts, ends = _STARTING.findall(text), _ENDED.findall(text)
    if len(ends) != setting.size:
        raise ValueError(f"cronstable ended {len(ends)} of {setting.size}: {text[-1000:]}")
    return setting.size / (max(map(float, ends)) - min(map(float, starts)))


def _printed(arguments: list[str | Path]) -> float:
    """Run a program that prints its rate; return the rate."""
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=_WITHIN_S)
    return float(done.stdout)
