"""Adds lines of the log to the history index. Touches its database."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_left
from collections import Counter
from math import inf
from typing import Any, NamedTuple

from runner.history.rows import (
    COLUMNS,
    TEXTS,
    Record,
    form_of,
    is_storable,
    kind_of,
    split,
    text_of,
)
from runner.history.seqs import number_of
from runner.monitor.records import Event, decode

_STARTED = f'"event":"{Event.EXECUTION_STARTED}"'.encode()
_HEAD = 200  # the event is among the first bytes of a line
_MOST_KNOWN = 100_000
_BLOCK = 4096
HISTOGRAMS = {
    "duration_s": (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400, inf),
    "lateness_s": (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, inf),
}
"""The upper bounds of the buckets in which durations and latenesses are counted, in seconds."""
_INSERT = f"INSERT INTO executions VALUES ({', '.join('?' * (len(COLUMNS) + 3))})"
_TIME, _STARTED_AT, _TAIL, _MESSAGE = (
    COLUMNS.index(name) + 3 for name in ("time", "started", "output_tail", "message")
)
_COUNT_MORE = (
    "INSERT INTO buckets VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
)
_SUM_MORE = (
    "INSERT INTO sums VALUES (?, ?) ON CONFLICT DO UPDATE SET total = total + excluded.total"
)
_Row = tuple[Any, ...]


class _Block(NamedTuple):
    """A row of `blocks`."""

    first: int
    last: int
    earliest: str
    latest: str
    rows: int

    def has_room_for(self, other: _Block) -> bool:
        """Whether another block, of later rows, may become a part of this one."""
        is_same_file = number_of(self.first) == number_of(other.first)
        return is_same_file and self.rows + other.rows <= _BLOCK


class Insertion:
    """Inserts records; remembers which kinds and forms the index has."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[bytes, tuple[int, int]] = {}
        self._kinds: dict[str, int] = {}

    def add(self, lines: bytes, seq: int) -> None:
        """Add the records of whole lines; the first line is at the place `seq`.

        Executions that only start are left out: the store has them. So is a line that is
        no record. Call this in a transaction: a failed one must not be continued.
        """
        try:
            self._add(*_sorted(lines, seq))
        except BaseException:
            self._forget()  # the ids are perhaps rolled back
            raise

    def _add(self, finished: list[tuple[int, Record]], others: list[tuple[int, Record]]) -> None:
        self._connection.execute("SAVEPOINT rows")
        try:
            rows = self._insert(finished)
        except (sqlite3.InterfaceError, sqlite3.ProgrammingError, ValueError, OverflowError):
            # A line of another program may have values that no record has.
            self._connection.execute("ROLLBACK TO rows")
            self._forget()
            finished = [each for each in finished if is_storable(each[1])]
            others = [each for each in others if is_storable(each[1])]
            rows = self._insert(finished)
        self._count(rows)
        self._note_times(rows)
        self._add_to_histograms(rows)
        self._connection.executemany(
            "INSERT INTO events VALUES (?, ?, ?)",
            ((at, str(record.get("event")), text_of(record)) for at, record in others),
        )

    def _row(self, placed: tuple[int, Record]) -> _Row:
        seq, record = placed
        key, columns = split(record)
        if (known := self._known.get(key)) is None:
            if len(self._known) > _MOST_KNOWN:
                self._forget()
            # Each start of the runner makes new forms, but no new kinds.
            if (kind := self._kinds.get(text := kind_of(record))) is None:
                kind = self._kinds[text] = self._id("kinds", text)
            known = self._known[key] = (kind, self._id("forms", form_of(record)))
        return (seq, *known, *columns)

    def _insert(self, finished: list[tuple[int, Record]]) -> list[_Row]:
        rows = [*map(self._row, finished)]
        self._connection.executemany(_INSERT, rows)
        texts = ((row[0], row[_MESSAGE], row[_TAIL]) for row in rows)
        self._connection.executemany(
            "INSERT INTO texts (rowid, message, output_tail) VALUES (?, ?, ?)", texts
        )
        return rows

    def _forget(self) -> None:
        self._known.clear()
        self._kinds.clear()

    def _id(self, table: str, record: str) -> int:
        """Return the id of a kind or a form, which becomes part of the index if it is new."""
        found = self._connection.execute(f"SELECT id FROM {table} WHERE record = ?", (record,))
        if (row := found.fetchone()) is not None:
            return int(row[0])
        new = self._connection.execute(f"INSERT INTO {table} (record) VALUES (?)", (record,))
        assert new.lastrowid is not None
        return new.lastrowid

    def _count(self, rows: list[_Row]) -> None:
        counts = Counter(row[1] for row in rows)
        self._connection.executemany(
            "UPDATE kinds SET total = total + ? WHERE id = ?",
            ((count, kind) for kind, count in counts.items()),
        )

    def _note_times(self, rows: list[_Row]) -> None:
        """Note the times of a run of rows, in the block before it if that has room."""
        if not rows:
            return
        times = [str(row[_TIME]) for row in rows]
        first, last = rows[0][0], rows[-1][0]
        block = _Block(first, last, min(times), max(times), len(rows))
        row = self._connection.execute(
            "SELECT * FROM blocks WHERE first < ? ORDER BY first DESC LIMIT 1", (block.first,)
        ).fetchone()
        if row is not None and (earlier := _Block(*row)).has_room_for(block):
            block = _Block(
                earlier.first,
                block.last,
                min(earlier.earliest, block.earliest),
                max(earlier.latest, block.latest),
                earlier.rows + block.rows,
            )
        self._connection.execute("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?)", block)

    def _add_to_histograms(self, rows: list[_Row]) -> None:
        for name, bounds in HISTOGRAMS.items():
            at = COLUMNS.index(name) + 3
            values = [row[at] for row in rows if row[_STARTED_AT] and isinstance(row[at], float)]
            counts = Counter(bounds[bisect_left(bounds, value)] for value in values)
            self._connection.executemany(_COUNT_MORE, ((name, *each) for each in counts.items()))
            self._connection.execute(_SUM_MORE, (name, sum(values)))


def _sorted(lines: bytes, seq: int) -> tuple[list[tuple[int, Record]], list[tuple[int, Record]]]:
    """Return the finished executions and the other events, each with its place."""
    wanted: list[tuple[int, bytes]] = []
    for line in lines.split(b"\n"):
        if line and line.find(_STARTED, 0, _HEAD) < 0:
            wanted.append((seq, line))
        seq += len(line) + 1
    finished, others = [], []
    for (at, _), record in zip(wanted, _decoded([line for _, line in wanted]), strict=True):
        if record is None or not isinstance(record.get("event"), str):
            continue
        if record.get("event") != Event.EXECUTION_FINISHED:
            others.append((at, record))
        elif {*map(type, map(record.get, TEXTS))} == {str}:
            finished.append((at, record))
    return finished, others


def _decoded(lines: list[bytes]) -> list[Record | None]:
    """Return the records of lines; None for a line that is none.

    To decode them as one list takes four fifths of the time.
    """
    try:
        records: list[Record | None] = json.loads((b"[%b]" % b",".join(lines)).decode())
    except (ValueError, RecursionError):
        records = []
    if len(records) == len(lines) and all(isinstance(each, dict) for each in records):
        return records
    return [*map(decode, lines)]
