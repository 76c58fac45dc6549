"""The place of a record in the whole log: its file's number, and its offset there.

Rows are deleted by such ranges. Touches the index's database.
"""

from __future__ import annotations

import sqlite3

_OFFSET_BITS = 40  # files of up to a terabyte
_ROWS_A_STEP = 10_000
FIRST, LAST = -(2**63), 2**63 - 1
"""Before and after all records."""


def seq_of(number: int, offset: int) -> int:
    """Return the place of a record. Later records have greater ones."""
    return (number << _OFFSET_BITS) + offset


def number_of(seq: int) -> int:
    """Return the number of a record's file."""
    return seq >> _OFFSET_BITS


def range_of(number: int) -> tuple[int, int]:
    """Return the first and the last possible place in a file."""
    return seq_of(number, 0), seq_of(number + 1, 0) - 1


def delete_rows(connection: sqlite3.Connection, first: int, last: int) -> bool:
    """Delete the oldest rows of a range of places; return whether more may be left.

    A step deletes some thousands, in a fraction of a second.
    """
    found = connection.execute(
        "SELECT max(seq), count(*) FROM (SELECT seq FROM executions WHERE seq BETWEEN ? AND ?"
        " ORDER BY seq LIMIT ?)",
        (first, last, _ROWS_A_STEP),
    )
    through, count = found.fetchone()
    is_partial: bool = count == _ROWS_A_STEP
    upto = through if is_partial else last
    connection.execute(
        "INSERT INTO texts (texts, rowid, message, output_tail)"
        " SELECT 'delete', seq, message, output_tail FROM executions WHERE seq BETWEEN ? AND ?",
        (first, upto),
    )
    connection.execute("DELETE FROM executions WHERE seq BETWEEN ? AND ?", (first, upto))
    connection.execute("DELETE FROM events WHERE seq BETWEEN ? AND ?", (first, upto))
    connection.execute("DELETE FROM blocks WHERE first >= ? AND last <= ?", (first, upto))
    return is_partial
