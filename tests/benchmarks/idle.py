"""The cost of an idle runner: a turn of the loop, CPU, memory."""

from __future__ import annotations

import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import schedule
from benchmarks.harness import Result, Setting, Target, alternately, in_unit
from benchmarks.service import Service, daily, end

from runner.lifecycle import Check
from runner.planning.alerts.expectations import Deadline, Limit
from runner.planning.states.state import RequestState
from runner.schedule_loop import FireScheduler
from runner.service.loop import Runner, running
from runner.service.runner_settings import Settings
from runner.service.situation import Situation
from runner.system.clock import SystemClock

_MINIMUM_S = 0.01  # of repeated calls, so that the clock's own cost does not count
_SMALL = 1000  # fewer requests are a trial, not a measurement
_AFTER_START_S = 3.0  # what a start leaves behind is no idling
_WINDOW_S = 20.0  # long enough for a resync in one of them
_WAKING = "import time\nwhile True: time.sleep(0.5)"
_OWN_STATUS = "print(open('/proc/self/status').read())"
_IMPORTS = (
    f"import runner.cli.commands.control.start, runner.cli.output.console, "
    f"runner.service.loop; {_OWN_STATUS}"
)


def measure_turn(setting: Setting) -> Result:
    """Measure a whole turn, and `run_pending` of Runner and of `schedule`, with `size`
    requests, each of which is expected to succeed within a time.
    """
    ours = FireScheduler(time.time)
    for number in range(setting.size):
        ours.plan(f"request-{number}", time.time() + 3600 + number, _never)
    theirs = schedule.Scheduler()
    for _ in range(setting.size):
        theirs.every(1).hours.do(_nothing)
    with _idle_runner(setting) as runner:
        runner.turn()  # the first turn makes the last commit of the start
        found = alternately(
            setting.rounds,
            {
                "runner: run_pending": lambda _: _each_us(ours.run_pending),
                "runner: whole turn of the loop": lambda _: _each_us(runner.turn),
                "schedule: run_pending": lambda _: _each_us(theirs.run_pending),
            },
        )
    series = in_unit(found, "µs")
    return Result(
        ours=series[:2],
        beside=series[2:],
        targets=tuple(
            Target(what=each.label.removeprefix("runner: "), unit="µs", value=each.median, limit=20)
            for each in series[:2]
        ),
        notes=(
            (
                "a turn's value is the mean of those that fit into 10 ms; a look at the files "
                "(resync) is in some"
            ),
        ),
    )


def measure_cpu(setting: Setting) -> Result:
    """Measure the CPU of a real runner with `size` requests, in windows of twenty seconds."""
    service = Service(setting.folder)
    service.write_idle(setting.size)
    window_s = _WINDOW_S if setting.size >= _SMALL else 0.2
    sleeper = subprocess.Popen([sys.executable, "-I", "-c", _WAKING])
    try:
        with service.running() as process:
            time.sleep(_AFTER_START_S if setting.size >= _SMALL else 0.0)
            pids = {"runner": process.pid, "bare Python that wakes twice a second": sleeper.pid}
            windows = [_cpu_percent(list(pids.values()), window_s) for _ in range(setting.rounds)]
    finally:
        end(sleeper)
    series = in_unit(dict(zip(pids, zip(*windows, strict=True), strict=True)), "%")
    target = Target(
        what="of a core, in the mean", unit="%", value=statistics.fmean(series[0].values), limit=0.5
    )
    return Result(ours=series[:1], beside=series[1:], targets=(target,))


def measure_memory(setting: Setting) -> Result:
    """Measure the resident memory of a real runner with `size` requests."""
    found = alternately(
        setting.rounds,
        {
            "runner": lambda number: _resident_mb(setting.place(f"runner-{number}"), setting.size),
            "its imports alone": lambda _: _program_mb(_IMPORTS),
            "bare Python": lambda _: _program_mb(_OWN_STATUS),
        },
    )
    series = in_unit(found, "MB")
    limit = 80 if setting.size <= 10_000 else 400
    target = Target(what="resident memory", unit="MB", value=series[0].median, limit=limit)
    return Result(ours=series[:1], beside=series[1:], targets=(target,))


@contextmanager
def _idle_runner(setting: Setting) -> Iterator[Runner]:
    """Open a runner in this process and register that many copies of one request.

    Reading a file for each would take minutes and change nothing: between resyncs, a
    turn reads no file.
    """
    folder = setting.place("turn")
    jobs = folder / "jobs.d"
    jobs.mkdir()
    (jobs / "only.yaml").write_text(
        daily(time.strftime("%H:%M", time.gmtime(time.time() + 12 * 3600)))
    )
    settings = Settings(
        jobs=jobs,
        state=folder / "state",
        monitor_log=folder / "state" / "monitor.jsonl",
        zone="UTC",
    )
    handlers = {
        number: signal.getsignal(number)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    }
    try:
        with running(settings, SystemClock(), observer=_ignore) as runner:
            runner.start()
            _register_copies(runner, setting.size)
            yield runner
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _register_copies(runner: Runner, count: int) -> None:
    (request,), (state,) = runner.registry.requests.values(), runner.registry.states.values()
    names = [f"copy-{number}" for number in range(count - 1)]
    copies: dict[str, RequestState] = dict.fromkeys(names, state)
    runner.registry.requests = {
        **runner.registry.requests,
        **{name: replace(request, name=name) for name in names},
    }
    runner.registry.accept(copies)
    expect_a_success_of(runner, names)


def expect_a_success_of(runner: Runner, names: Collection[str]) -> None:
    """Give each request a deadline, as `expect: {success_every: 26h}` does."""
    now = Situation(now=datetime.now(UTC), now_s=time.monotonic())
    limit = Limit(begin=now.now, length=timedelta(hours=26))
    deadlines = (Deadline(check=Check.ABSENT, request=name, overdue="") for name in names)
    runner.alerts.accept({}, {each.key: limit for each in deadlines}, now)


def _each_us(call: Callable[[], None]) -> float:
    """Return the microseconds of one call: the mean over as many calls as fit."""
    begun_s, count = time.perf_counter(), 0
    while (taken_s := time.perf_counter() - begun_s) < _MINIMUM_S:
        call()
        count += 1
    return taken_s / count * 1e6


def _cpu_percent(pids: list[int], window_s: float) -> list[float]:
    """Return the share of a core that each process used in one window, in percent."""
    before, begun_s = [_cpu_s(pid) for pid in pids], time.perf_counter()
    time.sleep(window_s)
    taken_s = time.perf_counter() - begun_s
    return [(_cpu_s(pid) - was_s) / taken_s * 100 for pid, was_s in zip(pids, before, strict=True)]


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process by its own clock. /proc/PID/stat counts only
    hundredths of seconds.
    """
    return time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3), which Python does not have


def _resident_mb(folder: Path, count: int) -> float:
    service = Service(folder)
    service.write_idle(count)
    with service.running() as process:
        time.sleep(_AFTER_START_S if count >= _SMALL else 0.0)
        return _status_mb(Path(f"/proc/{process.pid}/status").read_text())


def _program_mb(program: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return _status_mb(done.stdout)


def _status_mb(status: str) -> float:
    """Return the resident memory in /proc/PID/status."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def _nothing() -> None:
    """Do nothing; this job is never due."""


def _never(_key: str) -> None:
    """Do nothing; this job of Runner's scheduler is never due."""


def _ignore(_record: dict[str, object]) -> None:
    """Ignore a record."""
