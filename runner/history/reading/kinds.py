"""The kinds of executions in a history index, and which of them a query selects.

There are about as many as requests times statuses. So conditions are checked for kinds, by
the same function as for records of the log, and rows are found by their kinds' ids. Reads
the index.
"""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock

from runner.history.reading.query import Query
from runner.history.rows import Record

_MOST_REMEMBERED = 64


class Kinds:
    """The kinds of one index file, remembered: a kind never changes. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kinds: dict[int, Record] = {}
        self._selected: OrderedDict[tuple[Query, int], frozenset[int]] = OrderedDict()

    def all(self, connection: sqlite3.Connection) -> Mapping[int, Record]:
        """Return all kinds by their ids."""
        with self._lock:
            newest = max(self._kinds, default=0)
            rows = connection.execute("SELECT id, record FROM kinds WHERE id > ?", (newest,))
            new = {number: json.loads(record) for number, record in rows}
            if new:  # replaced, not changed: another thread may be going through it
                self._kinds = self._kinds | new
            return self._kinds

    def selected(self, connection: sqlite3.Connection, query: Query) -> frozenset[int] | None:
        """Return the ids of the kinds that a query selects; None for all."""
        if not query.selects_kinds:
            return None
        kinds = self.all(connection)
        key = (replace(query, since=None, until=None, text=""), len(kinds))
        if (found := self._selected.get(key)) is None:
            found = frozenset(number for number, kind in kinds.items() if query.selects(kind))
            with self._lock:
                self._selected[key] = found
                while len(self._selected) > _MOST_REMEMBERED:
                    self._selected.popitem(last=False)
        return found
