"""What a leader does about other nodes: records which stand by, and reports which are gone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol, runtime_checkable

from loguru import logger

from runner.errors import LeaseLostError, StoreError
from runner.monitor.events import runner_standby
from runner.service.deciding.decision_maker import DecisionMaker
from runner.service.fleet.clocks import LEAST_WRONG_OFFSET_S, clock_trouble
from runner.service.fleet.worker_watch import WorkerWatch
from runner.store.rows import KEPT_DAYS, Fleet, NodeRow
from runner.system.clock import Clock
from runner.values import duration_text

LEADER = "leader"
"""The key in the store's meta table for the node that leads the fleet, or led it last."""
STANDBYS = "standbys"
"""The key in the store's meta table for the recorded standbys: JSON, instances by name."""
_LOOK_EVERY_S = 3.0
_AWAY_S = 15.0
"""A node that has been silent for longer does not stand by at present."""


@runtime_checkable
class FleetStore(Protocol):
    """What the store of a fleet has besides that of any store."""

    @property
    def epoch(self) -> int:
        """Counts the times that the leadership was taken."""
        ...

    def fleet(self) -> Fleet:
        """Return who leads, and all nodes. Raises StoreError."""
        ...


class LeaderWatch:
    """Looks at the nodes every few seconds. `trouble` is about this machine's clock."""

    def __init__(
        self,
        own: str,
        store: FleetStore,
        decisions: DecisionMaker,
        clock: Clock,
        *,
        workers: WorkerWatch,
        meta: Mapping[str, str],
    ) -> None:
        self.trouble: str | None = None
        self._own = own
        self._store = store
        self._decisions = decisions
        self._clock = clock
        self._workers = workers
        self._standbys: dict[str, str] = json.loads(meta.get(STANDBYS, "{}"))
        self._former: str | None = meta.get(LEADER)
        self._unseen: set[str] = set()
        self._look_at_s = 0.0

    @property
    def next_s(self) -> float:
        """When `advance` has something to do, in elapsed seconds."""
        return self._look_at_s

    def advance(self) -> None:
        """Do what is due. Raises LeaseLostError if this machine's clock is wrong."""
        now_s = self._clock.elapsed_s()
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + _LOOK_EVERY_S
        try:
            asked = self._clock.now()
            fleet = self._store.fleet()
            took_s = self._clock.elapsed_s() - now_s
            if took_s < 1.0:
                self._look_at_clock(fleet.now - asked.timestamp() - took_s / 2)
        except StoreError:  # the next commit meets the same problem
            self._workers.distrust()
            return
        others = [each for each in fleet.nodes if each.kind == "start" and each.name != self._own]
        self._note_standbys(others)
        self._report_unseen(others)
        self._workers.look(fleet.workers)

    def _look_at_clock(self, offset_s: float) -> None:
        self.trouble = clock_trouble(offset_s)
        if self.trouble is not None and abs(offset_s) > LEAST_WRONG_OFFSET_S:
            raise LeaseLostError(self.trouble)

    def _note_standbys(self, others: list[NodeRow]) -> None:
        """Record the nodes that began to stand by, each of their starts once."""
        for each in others:
            if each.name == self._former:  # its row may still be that of the time when it led
                self._standbys[each.name] = each.instance
        self._former = None
        new = [
            each
            for each in others
            if each.silent_s < _AWAY_S and self._standbys.get(each.name) != each.instance
        ]
        if not new:
            return
        decision = self._decisions.begin()
        for each in new:
            message = f"version {each.version}"
            decision.record(
                runner_standby(self._decisions.about(), node=each.name, message=message)
            )
        standbys = self._standbys | {each.name: each.instance for each in new}
        standbys.pop(self._own, None)
        decision.batch.meta[STANDBYS] = json.dumps(standbys)
        if self._decisions.commit(decision):
            self._standbys = standbys

    def _report_unseen(self, others: list[NodeRow]) -> None:
        unseen = {each.name: each for each in others if each.silent_s > KEPT_DAYS * 86400}
        for name in unseen.keys() - self._unseen:
            logger.warning(
                "{} is no longer registered: it was last seen {} ago, so no record is kept for"
                " its log",
                name,
                duration_text(timedelta(seconds=int(unseen[name].silent_s))),
            )
        self._unseen = {*unseen}
