"""How the last execution of each request ended, from the store. Reads it when first asked."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from functools import cached_property

from runner.lifecycle import ExecutionStatus
from runner.planning.states.results import Result
from runner.store.opening import read_store
from runner.store.place import StorePlace
from runner.values import from_microseconds


class LastResults:
    """The last result of each request, in a store; None without one.

    `renamed` maps the present names of requests to those under which the store still has
    them.
    """

    def __init__(self, store: StorePlace | None, renamed: Mapping[str, str]) -> None:
        self._store = store
        self._renamed = renamed

    def of(self, name: str) -> Result | None:
        """Return the last result of a request, None without one. Raises StoreError."""
        return self._by_stored_name.get(self._renamed.get(name, name))

    @cached_property
    def _by_stored_name(self) -> Mapping[str, Result]:
        if self._store is None:
            return {}
        with closing(read_store(self._store)) as reader:
            rows = reader.last_results()
        return {
            row.request: Result(
                status=ExecutionStatus(row.status), ended=from_microseconds(row.ended)
            )
            for row in rows
        }
