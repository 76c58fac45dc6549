"""Finds the newest executions that meet conditions, in a time that does not depend on how
many there are. Reads the index.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from heapq import nlargest

from runner.history.reading.spans import Range

_MOST_SEARCHED = 20_000
"""How many executions with a word are looked at, at most, for one page."""


def newest_seqs(
    connection: sqlite3.Connection, part: Range, kinds: frozenset[int] | None, most: int
) -> list[int]:
    """Return the places of the newest executions of some kinds in a range, the newest first.

    Kinds are the runs of an index that are sorted by place. Only the runs with the newest
    ends can hold one of the newest executions.
    """
    if kinds is None:
        rows = connection.execute(
            f"SELECT e.seq FROM executions e WHERE {part.condition} ORDER BY e.seq DESC LIMIT ?",
            (*part.parameters, most),
        )
        return [seq for (seq,) in rows]
    ends = connection.execute(
        "SELECT value, (SELECT e.seq FROM executions e WHERE e.kind = value AND"
        f" {part.condition} ORDER BY e.seq DESC LIMIT 1) AS newest FROM json_each(?)"
        " WHERE newest IS NOT NULL ORDER BY newest DESC LIMIT ?",
        (*part.parameters, json.dumps([*kinds]), most),
    ).fetchall()
    return nlargest(
        most, (seq for kind, _ in ends for seq in _of_kind(connection, part, kind, most))
    )


def _of_kind(connection: sqlite3.Connection, part: Range, kind: int, most: int) -> Iterator[int]:
    rows = connection.execute(
        f"SELECT e.seq FROM executions e WHERE e.kind = ? AND {part.condition}"
        " ORDER BY e.seq DESC LIMIT ?",
        (kind, *part.parameters, most),
    )
    return (seq for (seq,) in rows)


def searched_seqs(
    connection: sqlite3.Connection,
    part: Range,
    kinds: frozenset[int] | None,
    words: str,
    most: int,
) -> tuple[list[int], int | None]:
    """Return the places of the newest executions with all words, and where the search ended.

    The second value is None if nothing before is left to be searched.
    """
    rows = connection.execute(
        "SELECT e.seq, e.kind FROM texts JOIN executions e ON e.seq = texts.rowid"
        f" WHERE texts MATCH ? AND texts.rowid BETWEEN ? AND ? AND {part.condition}"
        " ORDER BY texts.rowid DESC LIMIT ?",
        (words, part.first, part.last, *part.parameters, _MOST_SEARCHED),
    )
    found: list[int] = []
    count, seq = 0, None
    for count, (seq, kind) in enumerate(rows, 1):  # noqa: B007 - used after the loop
        if kinds is None or kind in kinds:
            found.append(seq)
        if len(found) == most:
            return found, seq
    return found, seq if count == _MOST_SEARCHED else None


def words_of(text: str) -> str:
    """Return a person's words as a query of FTS5, which finds texts with all of them.

    `disk*` is the beginning of a word, and text in quotation marks stays together. No
    other sign has a meaning.

    >>> words_of('disk full* "no space"')
    '"disk" "full"* "no space"'
    """
    parts = re.findall(r'"([^"]*)"?|([^\s"]+)', text)
    terms = [
        (phrase or word.rstrip("*"), "*" if word.endswith("*") else "") for phrase, word in parts
    ]
    return " ".join(f'"{term}"{star}' for term, star in terms if re.search(r"\w", term))
