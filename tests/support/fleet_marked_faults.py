"""Faults at marked points: a process of a fleet under load kills or stops itself there."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from support.fleet_faults import FleetUnderFaults
from support.fleet_points import (
    HAND_OVER_POINTS,
    LEADER_POINTS,
    RESTART_POINTS,
    STANDBY_POINTS,
    TAKEOVER_POINTS,
    WORKER_POINTS,
    WORKER_RESTART_POINTS,
)
from support.fork_server import Process
from support.marked_points import Mark, Order, Point, is_stopped, listening
from support.place import end_of, wait_until

_PATIENCE_S = 20.0
"""How long a process may need to reach a point; then another point gets its turn."""
_SIGNALS = {"kill -9": signal.SIGKILL, "SIGSTOP": signal.SIGSTOP}


POINTS = {
    "the leader": LEADER_POINTS,
    "a standby": STANDBY_POINTS,
    "a node that takes over": TAKEOVER_POINTS,
    "a leader that gives up": HAND_OVER_POINTS,
    "a worker": WORKER_POINTS,
    "a leader that restarts": RESTART_POINTS,
    "a worker that restarts": WORKER_RESTART_POINTS,
}
"""Who passes which points."""


def fault_of(who: str, what: str = "kill -9") -> str:
    """Return the name of a fault at a marked point."""
    return f"{what} of {who} at a marked point"


class MarkedFaults:
    """The faults of a fleet at marked points; each point gets its turn, in a random order."""

    def __init__(self, fleet: FleetUnderFaults, orders: Path) -> None:
        """`orders` is a folder for the orders to the processes of all nodes.

        The nodes must not run yet.
        """
        self.reached: Counter[Point] = Counter()
        self.missed: Counter[Point] = Counter()
        """How often no process reached a point in time; that is no fault."""
        self._fleet = fleet
        self._folder = orders
        for node in fleet.nodes:
            node.environment |= listening(orders)
        self._decks: dict[str, list[Point]] = {}
        kinds = {
            "the leader": self._leader,
            "a standby": self._standby,
            "a node that takes over": self._takeover,
            "a leader that gives up": self._hand_over,
            "a worker": self._worker,
            "a leader that restarts": self._restart,
            "a worker that restarts": self._worker_restart,
        }
        self.faults: dict[str, Callable[[], None]] = {
            fault_of(who, what): partial(self._suffer, who, kinds[who], number)
            for who in POINTS
            for what, number in _SIGNALS.items()
        }

    @property
    def figures(self) -> dict[str, object]:
        """How many processes struck themselves at which points, and which were never reached."""
        unreached = self.missed.keys() - self.reached.keys()
        return {
            "struck": self.reached.total(),
            "points": sorted(map(str, self.reached)),
            "unreached": sorted(map(str, unreached)),
        }

    def _suffer(
        self,
        who: str,
        fault: Callable[[Mark], bool],
        number: signal.Signals,
    ) -> None:
        """Let a fault happen at the next point that is reached."""
        for _ in POINTS[who]:
            point = self._draw(who)
            # The first time is the likeliest for a point that was missed before.
            count = 1 if self.missed[point] else self._fleet.random.choice((1, 1, 2, 3))
            if fault(Mark(point=point, count=count, number=number)):
                self.reached[point] += 1
                return
            self.missed[point] += 1
            self._decks[who].insert(0, point)
        raise AssertionError(f"no point of {who} was reached")

    def _draw(self, who: str) -> Point:
        cards = self._decks.setdefault(who, [])
        if not cards:
            cards += POINTS[who]
            self._fleet.random.shuffle(cards)
        return cards.pop()

    def _leader(self, mark: Mark) -> bool:
        return self._strike_nodes(mark, [self._fleet.leader()], begin=self._fleet.ask)

    def _standby(self, mark: Mark) -> bool:
        return self._strike_nodes(mark, self._others(self._fleet.leader())[:1])

    def _takeover(self, mark: Mark) -> bool:
        """Let the leader end in one way or another, and the next one strike itself."""
        leader = self._fleet.leader()
        former = self._fleet.processes[leader]
        begin = self._fleet.random.choice((former.terminate, former.kill))
        mark = replace(mark, count=1)
        return self._strike_nodes(mark, self._others(leader), begin=begin, ending=leader)

    def _hand_over(self, mark: Mark) -> bool:
        leader = self._fleet.leader()
        begin = self._fleet.processes[leader].terminate
        return self._strike_nodes(replace(mark, count=1), [leader], begin=begin, ending=leader)

    def _worker(self, mark: Mark) -> bool:
        return bool(self._strike(mark, [self._fleet.worker()]))

    def _restart(self, mark: Mark) -> bool:
        index = self._fleet.leader()
        with self._restarting(index) as begin:
            return self._strike_nodes(replace(mark, count=1), [index], begin=begin)

    def _worker_restart(self, mark: Mark) -> bool:
        index, worker = self._fleet.any_worker()
        with self._restarting(index) as begin:
            return bool(self._strike(replace(mark, count=1), [worker], begin=begin))

    @contextmanager
    def _restarting(self, index: int) -> Iterator[Callable[[], None]]:
        """Provide a call that restarts a node; wait for the end of the command."""
        commands: list[Process] = []
        yield lambda: commands.append(self._fleet.nodes[index].begin("restart"))
        for command in commands:
            end_of(command, within_s=120)

    def _others(self, leader: int) -> list[int]:
        others = [each for each in range(len(self._fleet.nodes)) if each != leader]
        self._fleet.random.shuffle(others)
        return others

    def _strike_nodes(
        self,
        mark: Mark,
        nodes: Sequence[int],
        *,
        begin: Callable[[], None] = lambda: None,
        ending: int | None = None,
    ) -> bool:
        """Strike nodes, and start those again that ended. `ending` ends in any case."""
        pids = {self._fleet.processes[each].pid: each for each in nodes}
        struck = self._strike(mark, pids, begin=begin)
        ended = {pids[pid] for pid in struck} if mark.number == signal.SIGKILL else set()
        for each in sorted(ended if ending is None else ended | {ending}):
            self._fleet.rejoin(each)
        return bool(struck)

    def _strike(
        self, mark: Mark, pids: Iterable[int], *, begin: Callable[[], None] = lambda: None
    ) -> set[int]:
        """Order processes to strike themselves, and return which did; stopped ones go on."""
        orders = {pid: Order(self._folder, pid, mark) for pid in pids}
        with suppress(AssertionError):  # it has ended meanwhile
            wait_until(
                lambda: all(each.is_heard for each in orders.values()),
                within_s=_PATIENCE_S,
                what="a process that listens",
            )
        begin()
        with suppress(AssertionError):  # it is not reached
            wait_until(
                lambda: any(each.is_carried_out for each in orders.values()),
                within_s=_PATIENCE_S,
                what=f"a process {mark.point}",
            )
        struck = {pid for pid, order in orders.items() if not order.withdraw()}
        if mark.number == signal.SIGSTOP and struck:
            for pid in struck:
                wait_until(lambda pid=pid: is_stopped(pid), what="a stopped process")  # type: ignore[misc]
            time.sleep(self._fleet.pause_s())
            for pid in struck:
                os.kill(pid, signal.SIGCONT)
        return struck
