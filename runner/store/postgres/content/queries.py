"""What the store answers, on any connection. Reads the database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runner.store.postgres.connecting.connection import Connection
from runner.store.postgres.content.tables import (
    ALERTS,
    EXECUTIONS,
    REQUESTS,
    RESULTS,
    Row,
    Table,
    texts_of,
)
from runner.store.postgres.content.texts import to_sql, to_text
from runner.store.rows import (
    AlertRow,
    Coming,
    ExecutionRow,
    Mark,
    RequestRow,
    ResultRow,
    Snapshot,
)

_AT_ONCE = 1000
"""How many records are read at once by a caller that wants them one by one."""


def snapshot_of(connection: Connection, state_id: str | None) -> Snapshot:
    """Return the content, apart from the lines of the outbox.

    The outbox is what the log of the node with this state folder may lack.
    """
    numbers, mark = outbox_of(connection, state_id)
    return Snapshot(
        requests=_requests_of(connection),
        executions=executions_of(connection),
        outbox=numbers,
        mark=mark,
        meta=meta_of(connection),
        alerts=alerts_of(connection),
        notifications=_pairs(connection, "SELECT id, body FROM notifications ORDER BY id"),
        offers=offers_of(connection),
    )


def outbox_of(connection: Connection, state_id: str | None) -> tuple[range, Mark | None]:
    """Return the numbers of the records that a node's log may lack, and the log's known end."""
    row = connection.execute(
        "SELECT log_seq, log_file, log_offset FROM nodes"
        " WHERE kind = 'start' AND state_id = %s ORDER BY joined DESC LIMIT 1",
        (state_id,),
    ).fetchone()
    through, file, offset = row or (0, None, None)
    first, last = _row(connection, "SELECT min(seq), max(seq) FROM records WHERE seq > %s", through)
    mark = None if file is None else Mark(file=int(file), offset=offset)
    return (range(0) if first is None else range(first, last + 1)), mark


def records_after(
    connection: Connection, number: int, *, about_bytes: int
) -> tuple[tuple[int, bytes], ...]:
    """Return about `about_bytes` of the records after `number`."""
    rows = connection.execute(
        "SELECT seq, line FROM (SELECT seq, line,"
        " sum(octet_length(line)) OVER (ORDER BY seq) - octet_length(line) AS before"
        " FROM (SELECT seq, line FROM records WHERE seq > %s ORDER BY seq LIMIT %s) AS next)"
        " AS measured WHERE before < %s ORDER BY seq",
        (number, max(about_bytes // 50, 1), about_bytes),
    )
    return tuple((seq, line_of(text)) for seq, text in rows)


def every_record_after(connection: Connection, number: int) -> Iterator[bytes]:
    """Yield the lines of the records after `number`, oldest first."""
    while True:
        rows = connection.execute(
            "SELECT seq, line FROM records WHERE seq > %s ORDER BY seq LIMIT %s",
            (number, _AT_ONCE),
        ).fetchall()
        yield from (line_of(text) for _, text in rows)
        if len(rows) < _AT_ONCE:
            return
        number = rows[-1][0]


def line_of(text: str) -> bytes:
    """Return the line of a record from its text in the database."""
    return to_text(text).encode("utf-8", "surrogateescape")


def text_of(line: bytes) -> str:
    """Return the line of a record as a text for `rows_text`."""
    return line.decode("utf-8", "surrogateescape")


def executions_of(connection: Connection) -> tuple[ExecutionRow, ...]:
    """Return all executions, in the order of their ids."""
    return _all(connection, EXECUTIONS, "ORDER BY id")


def offers_of(connection: Connection) -> dict[str, str]:
    """Return the queue of each execution that is offered and that no worker has taken."""
    query = "SELECT execution, queue FROM dispatches WHERE taken_by IS NULL ORDER BY execution"
    return _pairs(connection, query)


def has_execution(connection: Connection, execution: str) -> bool:
    """Return whether the store has an execution."""
    query = "SELECT EXISTS (SELECT FROM executions WHERE id = %s)"
    return bool(_row(connection, query, to_sql(execution))[0])


def last_results_of(connection: Connection) -> tuple[ResultRow, ...]:
    """Return the last result of each request, in the order of their names."""
    # A step of the recursion seeks the next name in the index. DISTINCT ON reads every row.
    columns = ", ".join(f"last.{field}" for field in ResultRow._fields)
    rows = connection.execute(
        f"""WITH RECURSIVE names (name) AS (
            (SELECT min(request) FROM results)
            UNION ALL
            SELECT (SELECT min(request) FROM results WHERE request > name) FROM names
                WHERE name IS NOT NULL)
        SELECT {columns} FROM names CROSS JOIN LATERAL (SELECT * FROM results
            WHERE request = name ORDER BY ended DESC, execution DESC LIMIT 1) AS last
        ORDER BY name""".encode()
    )
    return tuple(map(RESULTS.to_row, rows))


def statuses_of(connection: Connection) -> dict[str, int]:
    """Return how many requests have each status, in the order of their first names."""
    return dict(
        connection.execute(
            "SELECT status, count(*) FROM requests WHERE file IS NOT NULL"
            " GROUP BY status ORDER BY min(name)"
        ).fetchall()
    )


def coming_of(connection: Connection, *, at_most: int, by_due: bool = False) -> tuple[Coming, ...]:
    """Return the earliest of the next fires; with `by_due`, the fires due first."""
    rows = connection.execute(
        "SELECT name, next_fire, next_due FROM requests"
        " WHERE file IS NOT NULL AND next_due IS NOT NULL"
        f" ORDER BY {'next_due' if by_due else 'next_fire'}, name LIMIT %s",
        (at_most,),
    )
    return tuple(Coming(*texts_of(row)) for row in rows)


def backfills_of(connection: Connection) -> dict[str, str]:
    """Return the JSON of each backfill that is not over, by the name of its request."""
    return _pairs(
        connection,
        "SELECT name, backfill FROM requests WHERE backfill IS NOT NULL ORDER BY name",
    )


def results_of(connection: Connection, request: str) -> tuple[ResultRow, ...]:
    """Return the results of a request, the newest first."""
    return _all(
        connection, RESULTS, "WHERE request = %s ORDER BY ended DESC, execution DESC",
        to_sql(request),
    )  # fmt: skip


def results_before(
    connection: Connection, row: ResultRow | None, at_most: int
) -> tuple[ResultRow, ...]:
    """Return the results that come before `row`, in descending order of request and end.

    Without a row they are the last ones.
    """
    order = "ORDER BY request DESC, ended DESC, execution DESC LIMIT %s"
    if row is None:
        return _all(connection, RESULTS, order, at_most)
    return _all(
        connection, RESULTS, f"WHERE (request, ended, execution) < (%s, %s, %s) {order}",
        to_sql(row.request), row.ended, to_sql(row.execution), at_most,
    )  # fmt: skip


def alerts_of(connection: Connection) -> tuple[AlertRow, ...]:
    """Return what is known of the checks, by request and check."""
    return _all(connection, ALERTS, "ORDER BY request, check_name")


def meta_of(connection: Connection) -> dict[str, str]:
    """Return the notes of the owner about itself."""
    return _pairs(connection, "SELECT key, value FROM meta ORDER BY key")


def _requests_of(connection: Connection) -> tuple[RequestRow, ...]:
    return _all(connection, REQUESTS, "LEFT JOIN definitions USING (name) ORDER BY name")


def _all(
    connection: Connection, table: Table[Row], clauses: str, *parameters: object
) -> tuple[Row, ...]:
    rows = connection.execute(f"{table.select} {clauses}".encode(), parameters or None)
    return tuple(map(table.to_row, rows))


def _pairs(connection: Connection, query: str) -> dict[str, str]:
    return {to_text(key): to_text(value) for key, value in connection.execute(query.encode())}


def _row(connection: Connection, query: str, *parameters: object) -> tuple[Any, ...]:
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None, query
    return row
