"""The history index for its readers: questions of a page, an API or a command.

Thread-safe: each thread has a connection of its own. Reads the index.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from runner.errors import StoreError
from runner.history import tables
from runner.history.reading.kinds import Kinds
from runner.history.reading.query import Bar, Coverage, Histogram, Page, Query, StripBar, Tally
from runner.history.reading.selection import ROWS, bars, page, record_in, strips, tallied, tallies
from runner.history.rows import Record
from runner.history.seqs import LAST

_ALL = Query()
_MOST_RELATED = 1000
_MOST_FILTERED = 20_000
Bars = dict[str, list[Bar]]


class HistoryUnreadableError(StoreError):
    """There is no history index yet, or it cannot be read now. It may pass."""


class HistoryIndex:
    """The index in a state folder, which a `Builder` writes."""

    def __init__(self, state: Path) -> None:
        """Touch no file: each question opens the index as it is then."""
        self._state, self._path = state, tables.index_path(state)
        self._threads = threading.local()
        self._lock = threading.Lock()
        self._kinds: tuple[object, Kinds] = (None, Kinds())

    def executions(self, query: Query, *, before: int | None = None, limit: int = 50) -> Page:
        """Return the newest executions that a query selects, before a place in the log.

        With words that very many executions have, a page may have fewer than `limit`, and
        yet others may follow. Raises HistoryUnreadableError, as all questions do.
        """
        with self._reading() as (connection, kinds):
            return page(connection, kinds, query, LAST if before is None else before, limit)

    def execution(self, execution: str) -> Record | None:
        """Return the finished record of an execution by its whole id."""
        found = self._related("e.execution = ?", execution)
        return found[-1] if found else None

    def members(self, execution: str) -> list[Record]:
        """Return the finished members of a group's execution, the oldest first."""
        return self._related('e."group" = ?', execution)

    def followers(self, execution: str) -> list[Record]:
        """Return what ran because an execution ended, by `on_success` or `on_failure`."""
        return self._related("e.follows = ?", execution)

    def attempts(self, record: Record) -> list[Record]:
        """Return the further attempts at the same execution of a request or member."""
        found = self._related("e.attempt > 1 AND e.scheduled_for = ?", record.get("scheduled_for"))
        same = ("request", "process", "group", "sequence", "follows", "generation")
        return [each for each in found if all(each.get(n) == record.get(n) for n in same)]

    def bars(self, names: Collection[str], query: Query = _ALL, *, count: int = 30) -> Bars:
        """Return the last executions of each request, the oldest first, without members.

        The span of time and the scope of `query` apply, and its other conditions on kinds.
        """
        selected = replace(query, among=frozenset(names), with_members=False)
        with self._reading() as (connection, kinds):
            return bars(connection, kinds, selected, count)

    def strips(self, names: Collection[str], *, count: int = 30) -> dict[str, list[StripBar]]:
        """Return the statuses and durations of the same executions, in half the time."""
        with self._reading() as (connection, kinds):
            selected = Query(among=frozenset(names), with_members=False)
            return strips(connection, kinds, selected, count)

    def lanes(self, names: Collection[str], query: Query, *, count: int = 300) -> Bars:
        """Return the executions of each request in a span of time, the oldest first.

        Of each status and reason there are at most `count`: failures stay visible among
        many successes.
        """
        selected = replace(query, among=frozenset(names), with_members=False)
        with self._reading() as (connection, kinds):
            return bars(connection, kinds, selected, count, is_for_each_kind=True)

    def tallies(self, query: Query = _ALL) -> list[Tally]:
        """Return how many executions of each request, without members, ended in which way."""
        with self._reading() as (connection, kinds):
            return tallies(connection, kinds, replace(query, with_members=False))

    def totals(self) -> list[Tally]:
        """Return the same for all that were ever indexed: counters that only grow."""
        with self._reading() as (connection, kinds):
            rows = connection.execute("SELECT id, total FROM kinds").fetchall()
            known = kinds.all(connection)
        return tallied((known[number], total) for number, total in rows)

    def histograms(self) -> dict[str, Histogram]:
        """Return the histograms of `duration_s` and `lateness_s` of all that was indexed."""
        with self._reading() as (connection, _):
            sums = connection.execute("SELECT name, total FROM sums").fetchall()
            rows = connection.execute("SELECT name, bound, count FROM buckets").fetchall()
        return {
            name: Histogram(
                counts={bound: count for each, bound, count in rows if each == name}, total=total
            )
            for name, total in sums
        }

    def last_ends(self, statuses: Collection[str]) -> dict[str, str]:
        """Return when an execution of each request last ended with one of these statuses."""
        query = Query(statuses=frozenset(statuses), with_members=False)
        with self._reading() as (connection, kinds):
            selected = kinds.selected(connection, query) or frozenset()
            rows = connection.execute(
                "SELECT value, (SELECT ended FROM executions WHERE kind = value"
                " ORDER BY seq DESC LIMIT 1) AS ended FROM json_each(?) WHERE ended IS NOT NULL",
                (json.dumps([*selected]),),
            )
            known = kinds.all(connection)
            found: dict[str, str] = {}
            for number, ended in rows:
                name = str(known[number]["request"])
                found[name] = max(found.get(name, ""), ended)
            return found

    def events(
        self,
        is_shown: Callable[[Record], bool] = lambda _: True,
        *,
        before: int | None = None,
        limit: int = 50,
    ) -> Page:
        """Return the newest records of other events: of requests, the runner, alerts and so on.

        `is_shown` chooses among them.
        """
        with self._reading() as (connection, _):
            rows = connection.execute(
                "SELECT seq, record FROM events WHERE seq < ? ORDER BY seq DESC LIMIT ?",
                (LAST if before is None else before, _MOST_FILTERED),
            )
            found: list[tuple[int, Record]] = []
            count, seq = 0, 0
            for count, (seq, text) in enumerate(rows, 1):  # noqa: B007 - used after the loop
                if is_shown(record := json.loads(text)):
                    found.append((seq, record))
                if len(found) > limit:
                    break
        if len(found) > limit:
            return Page(records=[each for _, each in found[:limit]], before=found[limit - 1][0])
        is_cut = count == _MOST_FILTERED
        return Page(records=[each for _, each in found], before=seq if is_cut else None)

    def coverage(self) -> Coverage:
        """Return how much of the log the index has."""
        with self._reading() as (connection, _):
            (pending,) = connection.execute("SELECT pending FROM progress").fetchone()
            (count,) = connection.execute("SELECT coalesce(sum(count), 0) FROM blocks").fetchone()
            (oldest,) = connection.execute("SELECT min(earliest) FROM blocks").fetchone()
        return Coverage(
            executions=count, oldest=oldest, pending_bytes=pending, is_followed=self.is_followed()
        )

    def is_followed(self) -> bool:
        """Return whether a program keeps the index up to date now."""
        return tables.writer_of(self._state) is not None

    def close(self) -> None:
        """Close this thread's connection."""
        known = getattr(self._threads, "opened", None)
        if known is not None:
            known[1].close()
            self._threads.opened = None

    def _related(self, condition: str, value: object) -> list[Record]:
        with self._reading() as (connection, _):
            rows = connection.execute(
                f"{ROWS} WHERE {condition} ORDER BY e.seq LIMIT {_MOST_RELATED}", (value,)
            )
            return [record_in(row) for row in rows]

    @contextmanager
    def _reading(self) -> Iterator[tuple[sqlite3.Connection, Kinds]]:
        """Give a view of one moment, and word SQLite's errors.

        A damaged index is deleted: its writer notices that and builds it anew.
        """
        try:
            connection, kinds = self._opened()
            connection.execute("BEGIN")
            try:
                yield connection, kinds
            finally:
                connection.execute("COMMIT")
        except FileNotFoundError:
            words = f"there is no history index in {self._state} yet; `runner web` builds it"
            raise HistoryUnreadableError(words) from None
        except (OSError, sqlite3.DatabaseError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in tables.DAMAGED:
                with suppress(OSError):
                    tables.remove(self._path)
            self.close()
            words = f"the history index {self._path} cannot be read now: {error}"
            raise HistoryUnreadableError(words) from error

    def _opened(self) -> tuple[sqlite3.Connection, Kinds]:
        """Return this thread's connection to the file that has the index's name now."""
        status = self._path.stat()
        identity = status.st_dev, status.st_ino
        known = getattr(self._threads, "opened", None)
        if known is None or known[0] != identity:
            self.close()
            connection = tables.connect_reader(self._path)
            if tables.version_of(connection) != tables.VERSION:
                connection.close()
                raise sqlite3.OperationalError("it is being built")
            known = self._threads.opened = (identity, connection)
        with self._lock:
            if self._kinds[0] != identity:
                self._kinds = identity, Kinds()
            return known[1], self._kinds[1]
