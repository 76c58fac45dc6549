"""Puts a new catalog in force, some requests per turn, so that a large delivery delays no
fire.

Meanwhile each request has either its former definition and state or both new ones. Added
requests can be referred to from the first turn on, before they have a state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import islice

from runner.commands import Command
from runner.requests.model import ProcessRequest
from runner.service.deciding.decision import Decision
from runner.service.registry import Registry
from runner.service.reload import catalog_change
from runner.service.reload.catalog_change import CatalogChange

MOST = 500
"""How many requests follow a change in one turn: some 50 ms."""


class CatalogSwitch:
    """In each turn call `decide`, and after the commit `accept`.

    `asked` are the reloads that the last turn answers.
    """

    def __init__(
        self, change: CatalogChange, registry: Registry, asked: Mapping[str, Command]
    ) -> None:
        self.change = change
        self.asked = asked
        new, difference = change.changeover.in_force.requests, change.changeover.difference
        # The removed ones come last, because a renamed request takes over the state of one.
        self._names = deque([*sorted(change.reading.touched & new.keys()), *difference.removed])
        self._requests: dict[str, ProcessRequest] | None = None
        if not self.is_last:
            self._requests = {
                **registry.requests,
                **{name: new[name] for name in difference.added},
            }

    @property
    def is_last(self) -> bool:
        """Whether the next turn completes the switch."""
        return len(self._names) <= MOST

    def decide(self, decision: Decision, registry: Registry) -> None:
        """Give the next requests the states that follow from the change."""
        if self.is_last:
            catalog_change.record_rejections(self.change, decision)
        catalog_change.decide_some(self.change, decision, registry, self._next())

    def accept(self, registry: Registry) -> bool:
        """Put the committed requests in force; return whether the switch is complete."""
        if self.is_last or self._requests is None:
            registry.accept_catalog(self.change.changeover.in_force, self.change.reading.catalog)
            return True
        # A name leaves the queue only here: if the store refused, `decide` repeats it.
        new = self.change.changeover.in_force.requests
        for name in self._next():
            self._names.popleft()
            if name in new:
                self._requests[name] = new[name]
            else:
                self._requests.pop(name, None)
        registry.accept_requests(self._requests)
        return False

    def _next(self) -> list[str]:
        return list(islice(self._names, MOST))
