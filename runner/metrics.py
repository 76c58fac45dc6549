"""Metrics for Prometheus: what is configured, what runs, and what ran.

What ran is counted by the history index, so a counter starts anew when the index is built
anew; Prometheus expects that of counters. No series has an execution's id. Reads the store,
the jobs folder and the index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import accumulate
from math import inf

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from runner.access.loading import Loaded
from runner.access.shown.request_items import views_of
from runner.history.building.insertion import HISTOGRAMS
from runner.history.reading.index import HistoryIndex, HistoryUnreadableError
from runner.lifecycle import ExecutionStatus
from runner.monitor.records import Event
from runner.planning.states.results import FAILURES
from runner.service.alerts.stored_alerts import open_alerts
from runner.service.executions.execution import execution_of
from runner.store.rows import WORKER_AWAY_S, Fleet, Phase
from runner.values import parse_instant

_READINGS = {Event.RUNNER_RELOADED, Event.RUNNER_STARTED}
_HISTOGRAMS = {
    "duration_s": ("runner_execution_duration_seconds", "How long executions took."),
    "lateness_s": (
        "runner_lateness_seconds",
        "Seconds between the planned instant of an execution and its start.",
    ),
}


class Metrics:
    """A collector of prometheus_client: makes all series of one moment.

    `names` are the requests to report on; None for all, and then also what concerns the
    runner as a whole.
    """

    def __init__(
        self, loaded: Loaded, history: HistoryIndex, names: frozenset[str] | None = None
    ) -> None:
        self._loaded, self._history, self._names = loaded, history, names

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics. Without an index, leave out those that count executions."""
        yield from self._of_requests()
        if self._names is None:
            yield from self._of_the_runner()
        try:
            yield from [*self._of_the_past()]
        except HistoryUnreadableError:
            return

    def _of_requests(self) -> Iterator[Metric]:
        views = [view for view in views_of(self._loaded) if view.name and self._is_shown(view.name)]
        fires = ((view.name, _seconds(view.next_fire)) for view in views if view.next_fire)
        results = {view.name: self._loaded.results.of(view.name) for view in views}
        running = Counter(
            each.request
            for each in map(execution_of, self._loaded.snapshot.executions)
            if each.started is not None and each.claim.group is None
        )
        yield _gauge(
            "runner_request_next_fire_timestamp_seconds", "When the request fires next.", fires
        )
        yield _gauge(
            "runner_request_running",
            "How many executions of the request are in progress.",
            ((view.name, running[view.name]) for view in views),
        )
        yield _gauge(
            "runner_request_failing",
            "1 if the last execution of the request failed, else 0.",
            (
                (name, float(result is not None and result.status in FAILURES))
                for name, result in results.items()
            ),
        )

    def _of_the_runner(self) -> Iterator[Metric]:
        rejected = len(self._loaded.catalog.rejections)
        yield GaugeMetricFamily(
            "runner_rejected_files", "How many files of the jobs folder are rejected.", rejected
        )
        yield GaugeMetricFamily(
            "runner_config_last_reload_successful",
            "1 if every file of the jobs folder was accepted, else 0.",
            float(not rejected),
        )
        counts = Counter(alert.check for alert in open_alerts(self._loaded.snapshot.alerts))
        alerts = GaugeMetricFamily(
            "runner_alerts_open", "How many alerts are open.", labels=["check"]
        )
        for check, count in sorted(counts.items()):
            alerts.add_metric([check], count)
        yield alerts
        if self._loaded.fleet is not None:
            yield from self._of_the_fleet(self._loaded.fleet)

    def _of_the_fleet(self, fleet: Fleet) -> Iterator[Metric]:
        workers = fleet.workers
        yield GaugeMetricFamily(
            "runner_fleet_has_leader", "1 if a node leads, else 0.", float(fleet.leader is not None)
        )
        yield GaugeMetricFamily(
            "runner_fleet_standbys",
            "How many nodes stand by.",
            sum(
                node.kind == "start" and node.name != fleet.leader and node.silent_s < WORKER_AWAY_S
                for node in fleet.nodes
            ),
        )
        for name, words, values in (
            ("heartbeat_age_seconds", "How long ago a worker was heard of.", "silent_s"),
            ("executions", "How many executions a worker runs.", "executions"),
            ("concurrency", "How many executions a worker runs at most.", "concurrency"),
        ):
            found = ((node.name, float(getattr(node, values) or 0)) for node in workers)
            yield _gauge(f"runner_worker_{name}", words, found, label="node")
        waiting = Counter(
            row.queue for row in self._loaded.snapshot.executions if row.phase is not Phase.RUNNING
        )
        queues = sorted({*waiting, *(queue for node in workers for queue in node.queues)})
        yield _gauge(
            "runner_queue_waiting",
            "How many executions of the queue have not started.",
            ((queue, float(waiting[queue])) for queue in queues),
            label="queue",
        )
        yield _gauge(
            "runner_queue_workers",
            "How many live workers serve the queue.",
            ((queue, float(fleet.served(queue))) for queue in queues),
            label="queue",
        )
        yield CounterMetricFamily(
            "runner_dropped_reports",
            "How many reports of workers did not fit what the leader knew.",
            float(self._loaded.snapshot.meta.get("dropped_reports", "0")),
        )

    def _of_the_past(self) -> Iterator[Metric]:
        ends = self._history.last_ends({ExecutionStatus.SUCCESS}).items()
        yield _gauge(
            "runner_request_last_success_timestamp_seconds",
            "When an execution of the request last ended with success.",
            ((name, _seconds(parse_instant(end))) for name, end in ends if self._is_shown(name)),
        )
        executions = CounterMetricFamily(
            "runner_executions",
            "How many executions ended, by request, status and reason; members are not counted.",
            labels=["request", "status", "reason"],
        )
        for tally in self._history.totals():
            if self._is_shown(tally.request):
                executions.add_metric(
                    [tally.request, tally.status, tally.reason or ""], tally.count
                )
        yield executions
        if self._names is None:
            yield from self._of_the_runners_past()

    def _of_the_runners_past(self) -> Iterator[Metric]:
        readings = self._history.events(lambda each: each["event"] in _READINGS, limit=1).records
        for record in readings:
            yield GaugeMetricFamily(
                "runner_config_last_reload_timestamp_seconds",
                "When the runner last read its jobs folder.",
                _seconds(parse_instant(str(record["time"]))),
            )
        for name, found in self._history.histograms().items():
            metric, words = _HISTOGRAMS[name]
            bounds = HISTOGRAMS[name]
            sums = accumulate(found.counts.get(bound, 0) for bound in bounds)
            texts = ("+Inf" if bound == inf else str(float(bound)) for bound in bounds)
            buckets = [*zip(texts, sums, strict=True)]
            yield HistogramMetricFamily(metric, words, buckets=buckets, sum_value=found.total)

    def _is_shown(self, name: str) -> bool:
        return self._names is None or name in self._names


def exposition(metrics: Metrics, accept: str = "") -> tuple[bytes, str]:
    """Return the metrics and their media type: OpenMetrics for a reader that accepts it.

    The other format is the text format of Prometheus, which node_exporter reads from files.
    """
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


def _gauge(
    name: str, words: str, values: Iterable[tuple[str, float]], *, label: str = "request"
) -> Metric:
    gauge = GaugeMetricFamily(name, words, labels=[label])
    for labelled, value in values:
        gauge.add_metric([labelled], value)
    return gauge


def _seconds(instant: datetime) -> float:
    return instant.timestamp()
