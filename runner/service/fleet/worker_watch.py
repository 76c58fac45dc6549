"""What a leader records about the workers: which joined the fleet, and which are lost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta

from runner.monitor.events import worker_joined, worker_lost
from runner.service.deciding.decision_maker import DecisionMaker
from runner.store.rows import NodeRow
from runner.system.clock import Clock
from runner.values import counted, duration_text, listed

WORKERS = "workers"
"""The key in the store's meta table for the recorded workers: JSON, instances by name."""
_AWAY_S = 15.0
"""A worker that has been silent for longer does not join at present."""
_MOST_QUEUES = 5


class WorkerWatch:
    """Records each start of a worker once, and each loss. A worker that leaves in order is
    forgotten.
    """

    def __init__(
        self,
        decisions: DecisionMaker,
        clock: Clock,
        *,
        lost_after: timedelta,
        meta: Mapping[str, str],
    ) -> None:
        self._decisions = decisions
        self._clock = clock
        self._lost_after = lost_after
        self._recorded: dict[str, str] = json.loads(meta.get(WORKERS, "{}"))
        self.distrust()

    def distrust(self) -> None:
        """Note that heartbeats may have been missed until now."""
        self._trusted_from_s = self._clock.elapsed_s() + self._lost_after.total_seconds()

    def look(self, workers: Sequence[NodeRow]) -> None:
        """Record what has changed since the last look."""
        new = [
            each
            for each in workers
            if each.silent_s < _AWAY_S and self._recorded.get(each.name) != each.instance
        ]
        lost = [each.name for each in workers if self._is_lost(each)]
        kept = {each.name for each in workers} - {*lost}
        recorded = {name: value for name, value in self._recorded.items() if name in kept}
        recorded |= {each.name: each.instance for each in new}
        if recorded == self._recorded:
            return
        decision = self._decisions.begin()
        facts = self._decisions.about()
        for each in new:
            decision.record(worker_joined(facts, node=each.name, message=_words(each)))
        for name in lost:
            message = f"nothing was heard of it for {duration_text(self._lost_after)}"
            decision.record(worker_lost(facts, node=name, message=message))
        decision.batch.meta[WORKERS] = json.dumps(recorded)
        if self._decisions.commit(decision):
            self._recorded = recorded

    def _is_lost(self, worker: NodeRow) -> bool:
        return (
            worker.name in self._recorded
            and worker.silent_s > self._lost_after.total_seconds()
            and self._clock.elapsed_s() >= self._trusted_from_s
        )


def _words(worker: NodeRow) -> str:
    queues = listed([f"queue {queue}" for queue in worker.queues], _MOST_QUEUES)
    return f"version {worker.version}, {queues}, {counted(worker.concurrency or 0, 'place')}"
