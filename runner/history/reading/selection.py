"""Answers the questions of `HistoryIndex` in SQL. Reads the index."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from runner.history.reading.kinds import Kinds
from runner.history.reading.newest import newest_seqs, searched_seqs, words_of
from runner.history.reading.query import Bar, Page, Query, StripBar, Tally
from runner.history.reading.spans import Range, ranges_of
from runner.history.rows import COLUMNS, Record, joined
from runner.history.seqs import LAST
from runner.lifecycle import ExecutionStatus

_NAMES = ", ".join(f'e."{name}"' for name in COLUMNS)
ROWS = (
    f"SELECT k.record, f.record, {_NAMES} FROM executions e"
    " JOIN kinds k ON k.id = e.kind JOIN forms f ON f.id = e.form"
)
"""Selects what `record_in` reads."""
_BAR = "e.form, e.execution, e.time, e.scheduled_for, e.started, e.duration_s"
_STRIP_BAR = "CASE WHEN e.started IS NOT NULL THEN e.duration_s END"
"""Four texts fewer of each row: with the tuples of `Bar` they are half of the time."""


def page(
    connection: sqlite3.Connection, kinds: Kinds, query: Query, before: int, limit: int
) -> Page:
    """Return the newest executions that a query selects, before a place in the log."""
    selected, words = kinds.selected(connection, query), words_of(query.text)
    found: list[int] = []
    searched_to: int | None = None
    for part in ranges_of(connection, query.since, query.until, before):
        room = limit + 1 - len(found)
        if words:
            seqs, searched_to = searched_seqs(connection, part, selected, words, room)
        else:
            seqs = newest_seqs(connection, part, selected, room)
        found += seqs
        if len(found) > limit or searched_to is not None:
            break
    if len(found) > limit:
        found, searched_to = found[:limit], found[limit - 1]
    return Page(records=_records(connection, found), before=searched_to)


def bars(
    connection: sqlite3.Connection,
    kinds: Kinds,
    query: Query,
    count: int,
    *,
    is_for_each_kind: bool = False,
) -> dict[str, list[Bar]]:
    """Return the newest executions of each request that a query names, the oldest first.

    There are `count` of each request, or of each of its kinds.
    """
    most = None if is_for_each_kind else -count
    known = kinds.all(connection)
    return {
        name: [_bar(connection, known, row) for row in rows[most:]]
        for name, rows in _newest_of_each(connection, kinds, query, count, _BAR).items()
    }


def strips(
    connection: sqlite3.Connection, kinds: Kinds, query: Query, count: int
) -> dict[str, list[StripBar]]:
    """Return the same `count` of each request, with less about each execution."""
    known = kinds.all(connection)
    statuses = {number: str(kind["status"]) for number, kind in known.items()}
    return {
        name: [StripBar(statuses[kind], duration_s) for _, kind, duration_s in rows[-count:]]
        for name, rows in _newest_of_each(connection, kinds, query, count, _STRIP_BAR).items()
    }


def _newest_of_each(
    connection: sqlite3.Connection, kinds: Kinds, query: Query, count: int, columns: str
) -> dict[str, list[tuple[Any, ...]]]:
    """Return the place, kind and columns of the newest of each kind, by request and place."""
    selected = kinds.selected(connection, query) or frozenset()
    known = kinds.all(connection)
    named = {number: str(known[number]["request"]) for number in selected}
    found: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for part in ranges_of(connection, query.since, query.until, LAST):
        rows = connection.execute(
            f"SELECT e.seq, e.kind, {columns} FROM json_each(?) JOIN executions e ON e.seq IN"
            " (SELECT e.seq FROM executions e"
            f" WHERE e.kind = value AND {part.condition} ORDER BY e.seq DESC LIMIT ?)",
            (json.dumps([*selected]), *part.parameters, count),
        )
        for row in rows:
            found[named[row[1]]].append(row)
    return {name: sorted(each) for name, each in found.items()}


def _bar(connection: sqlite3.Connection, known: Mapping[int, Record], row: tuple[Any, ...]) -> Bar:
    _, number, form, execution, time, scheduled_for, started, duration_s = row
    kind = known[number]
    status: str = kind["status"]  # type: ignore[assignment]
    reason: str | None = kind["reason"]  # type: ignore[assignment]
    bar = Bar(execution, status, reason, time, scheduled_for, started, duration_s)
    is_miss = status == ExecutionStatus.MISFIRED
    return bar._replace(**_missed(connection, form)) if is_miss else bar


def tallies(connection: sqlite3.Connection, kinds: Kinds, query: Query) -> list[Tally]:
    """Return how many executions of each request ended in which way."""
    selected = json.dumps([*(kinds.selected(connection, query) or ())])
    counts: Counter[int] = Counter()
    for part in ranges_of(connection, query.since, query.until, LAST):
        counts.update(dict(_counts(connection, part, selected)))
    known = kinds.all(connection)
    return tallied((known[number], count) for number, count in counts.items())


def tallied(counts: Iterable[tuple[Record, int]]) -> list[Tally]:
    """Return the tallies of counted kinds; members of groups are left out."""
    found: Counter[tuple[str, str, str | None]] = Counter()
    for kind, count in counts:
        if count and not kind["group"]:
            reason = None if kind["reason"] is None else str(kind["reason"])
            found[str(kind["request"]), str(kind["status"]), reason] += count
    return [
        Tally(request=request, status=status, reason=reason, count=count)
        for (request, status, reason), count in found.items()
    ]


def record_in(row: Sequence[object]) -> Record:
    """Return the record of a row that `ROWS` selected."""
    kind, form, *columns = row
    return joined(json.loads(str(kind)), json.loads(str(form)), columns)


def _records(connection: sqlite3.Connection, seqs: Iterable[int]) -> list[Record]:
    numbers = json.dumps([*seqs])
    rows = connection.execute(
        f"{ROWS} WHERE e.seq IN (SELECT value FROM json_each(?)) ORDER BY e.seq DESC", (numbers,)
    )
    return [record_in(row) for row in rows]


def _counts(
    connection: sqlite3.Connection, part: Range, selected: str
) -> Iterator[tuple[int, int]]:
    yield from connection.execute(
        "SELECT value, (SELECT count(*) FROM executions e WHERE e.kind = value AND"
        f" {part.condition}) FROM json_each(?)",
        (*part.parameters, selected),
    )


def _missed(connection: sqlite3.Connection, form: int) -> dict[str, Any]:
    (record,) = connection.execute("SELECT record FROM forms WHERE id = ?", (form,)).fetchone()
    missed = json.loads(record)
    return {name: missed.get(name) for name in ("missed_from", "missed_until")}
