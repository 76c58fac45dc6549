"""The history index of a long monitor log, and the metrics of many requests."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.harness import Result, Setting, Target, alternately, in_unit
from benchmarks.monitoring import record_line
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from runner.access.loading import load
from runner.access.places import places
from runner.history.building.builder import Builder
from runner.history.building.keeping import Keeping
from runner.history.building.retention import Limits
from runner.history.reading.index import HistoryIndex, HistoryUnreadableError
from runner.history.reading.query import Query
from runner.history.tables import index_path
from runner.metrics import Metrics, exposition
from runner.monitor.records import Recorder
from runner.values import new_id

_BLOCK = 10_000
_REQUESTS = 500
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_BUILT_S, _ASKED_MS, _VISIBLE_S, _METRICS_S = 30, 50, 1, 1
_SAMPLES_OF_EACH = 6
_DAILY = "timing: {schedule: {frequency: daily, at: '02:00'}}\n"


def measure(setting: Setting) -> Result:
    """Build the index of a log of `size` records, and ask it what the pages ask."""
    log, state = setting.folder / "monitor.jsonl", setting.place("state")
    write_log(log, setting.size)
    elapsed_s: list[float] = []
    found = alternately(
        setting.rounds,
        {
            "index built, processor": lambda _: _built_s(state, log, elapsed_s),
            "json.loads of every line, processor": _processor(lambda: _decode(log)),
            "new record visible": lambda _: _visible_s(state, log),
        },
    )
    index = HistoryIndex(state)
    asked = alternately(
        max(setting.rounds, 5),
        {what: _processor(ask) for what, ask in _questions(index).items()},
    )
    size = index_path(state).stat().st_size / 1e6
    index.close()
    series = in_unit({**found, "index built, elapsed": elapsed_s}, "s")
    asked_ms = {what: [each * 1000 for each in took] for what, took in asked.items()}
    questions = in_unit(asked_ms, "ms")
    limits = {"index built, processor": _BUILT_S, "new record visible": _VISIBLE_S}
    targets = [
        Target(what=each.label, unit="s", value=each.median, limit=limits[each.label])
        for each in series
        if each.label in limits
    ]
    targets += [
        Target(what=each.label, unit="ms", value=each.median, limit=_ASKED_MS) for each in questions
    ]
    return Result(
        ours=(series[0], series[2], series[3], *questions),
        beside=(series[1],),
        targets=tuple(targets),
        notes=(f"{log.stat().st_size / 1e6:.0f} MB of log; {size:.0f} MB of index",),
    )


def write_log(path: Path, count: int, requests: int = _REQUESTS) -> None:
    """Write that many finished records, ten thousand a day, each with ids of its own."""
    recorder = Recorder(new_id(), "host")
    lines = [
        record_line(recorder, _BEGIN, number, requests) for number in range(min(_BLOCK, count))
    ]
    block, date = b"".join(lines), b'"%b' % _BEGIN.date().isoformat().encode()
    prefix = json.loads(lines[0])["id"][:9].encode()  # of all ids of these seconds
    with path.open("wb") as log:
        for day in range(-(-count // len(lines))):
            begin = _BEGIN + timedelta(days=day)
            here = block if (day + 1) * len(lines) <= count else b"".join(lines[: count % _BLOCK])
            other = b"%08x-" % day
            log.write(
                here.replace(date, b'"%b' % begin.date().isoformat().encode()).replace(
                    prefix, other
                )
            )


def _questions(index: HistoryIndex) -> Mapping[str, Callable[[], object]]:
    names = [f"request-{number}" for number in range(_REQUESTS)]
    newest = datetime.fromisoformat(str(index.executions(Query()).records[0]["time"]))
    day = Query(since=newest - timedelta(days=1))
    errors, never = frozenset({"error"}), frozenset({"killed"})
    own = frozenset({"request-7"})
    return {
        "newest executions": lambda: index.executions(Query()),
        "failures": lambda: index.executions(Query(statuses=errors)),
        "none of a status": lambda: index.executions(Query(statuses=never)),
        "one request": lambda: index.executions(Query(requests=own)),
        "a day long ago": lambda: index.executions(
            Query(since=_BEGIN, until=_BEGIN + timedelta(days=1), statuses=errors)
        ),
        "with a scope": lambda: index.executions(Query(admits=lambda *_: True)),
        "with a word": lambda: index.executions(Query(text="posted", statuses=errors)),
        "last 30 of 500 requests": lambda: index.strips(names),
        "a day of 40 requests": lambda: index.lanes(names[:40], day),
        "counts of a day": lambda: index.tallies(day),
    }


def _processor(do: Callable[[], object]) -> Callable[[int], float]:
    def taken_s(_: int) -> float:
        begun_s = time.process_time()
        do()
        return time.process_time() - begun_s

    return taken_s


def _built_s(state: Path, log: Path, elapsed_s: list[float]) -> float:
    """Build the index by the program that does it beside a page, while a page is asked for.

    Return its processor time: the program yields to everything else on the machine.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for path in state.glob("history.*"):
        path.unlink()
    index, begun_s = HistoryIndex(state), time.perf_counter()
    with Keeping(state, log):
        while not _has_all(index):
            time.sleep(0.05)
        elapsed_s.append(time.perf_counter() - begun_s)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _has_all(index: HistoryIndex) -> bool:
    with suppress(HistoryUnreadableError):
        coverage = index.coverage()
        index.executions(Query())
        return coverage.executions > 0 and coverage.pending_bytes == 0
    return False


def _visible_s(state: Path, log: Path) -> float:
    """Append a record while the index is kept; return how long it takes to be there."""
    index = HistoryIndex(state)
    with Keeping(state, log):
        while not index.is_followed():
            time.sleep(0.01)
        line = record_line(Recorder(new_id(), "host"), datetime.now(UTC), 0)
        execution = json.loads(line)["execution"]
        time.sleep(0.5)  # it has opened the log
        begun_s = time.perf_counter()
        with log.open("ab") as file:
            file.write(line)
        while index.execution(execution) is None:
            time.sleep(0.005)
        return time.perf_counter() - begun_s


def _decode(log: Path) -> None:
    with log.open() as lines:
        for line in lines:
            json.loads(line)


def measure_metrics(setting: Setting) -> Result:
    """Make the metrics of `size` requests, each with executions in the index."""
    jobs, state = setting.place("jobs.d"), setting.place("state")
    for number in range(setting.size):
        text = f"process: {{command: ['true']}}\n{_DAILY}"
        (jobs / f"request-{number}.yaml").write_text(text)
    log = setting.folder / "monitor.jsonl"
    write_log(log, setting.size * 3, setting.size)
    builder = Builder(index_path(state), log, Limits())
    while builder.step():
        pass
    builder.close()
    loaded = load(places(jobs, state, log, "UTC", is_guarded=False))
    index = HistoryIndex(state)
    samples = setting.size * _SAMPLES_OF_EACH
    found = alternately(
        setting.rounds,
        {
            "metrics, processor": _processor(lambda: exposition(Metrics(loaded, index))),
            f"prometheus_client, {samples} samples": _processor(lambda: _plain(samples)),
        },
    )
    index.close()
    series = in_unit(found, "s")
    return Result(
        ours=series[:1],
        beside=series[1:],
        targets=(
            Target(what="metrics, processor", unit="s", value=series[0].median, limit=_METRICS_S),
        ),
        notes=(f"{len(exposition(Metrics(loaded, index))[0]) / 1e6:.1f} MB",),
    )


class _Gauge:
    def __init__(self, samples: int) -> None:
        self._samples = samples

    def collect(self) -> list[GaugeMetricFamily]:
        gauge = GaugeMetricFamily("plain", "A gauge.", labels=["request"])
        for number in range(self._samples):
            gauge.add_metric([f"request-{number}"], number)
        return [gauge]


def _plain(samples: int) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Gauge(samples))
    return generate_latest(registry)
