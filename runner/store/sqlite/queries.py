"""What the store answers, on any connection. Reads the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing

from runner.store.rows import AlertRow, Coming, ExecutionRow, Mark, RequestRow, ResultRow, Snapshot
from runner.store.sqlite import schema
from runner.store.sqlite.schema import EXECUTIONS, REQUESTS, to_sql, to_text


def snapshot_of(connection: sqlite3.Connection) -> Snapshot:
    """Return the content, apart from the lines of the outbox."""
    mark = connection.execute(schema.SELECT_MARK).fetchone()
    return Snapshot(
        requests=_requests_of(connection),
        executions=executions_of(connection),
        outbox=_record_numbers(connection),
        mark=None if mark is None else Mark(file=int(mark[0]), offset=mark[1]),
        meta=meta_of(connection),
        alerts=alerts_of(connection),
        notifications={
            to_text(name): to_text(body)
            for name, body in connection.execute(schema.SELECT_NOTIFICATIONS)
        },
    )


def alerts_of(connection: sqlite3.Connection) -> tuple[AlertRow, ...]:
    """Return what is known of the checks, by request and check."""
    return tuple(
        AlertRow(request=to_text(request), check_name=to_text(check), state=to_text(state))
        for request, check, state in connection.execute(schema.SELECT_ALERTS)
    )


def _record_numbers(connection: sqlite3.Connection) -> range:
    first, last = connection.execute(schema.RECORD_NUMBERS).fetchone()
    return range(0) if first is None else range(first, last + 1)


def records_after(
    connection: sqlite3.Connection, number: int
) -> Generator[tuple[int, bytes], None, None]:
    """Yield the numbers and lines of the outbox after `number`."""
    with closing(connection.execute(schema.SELECT_RECORDS, (number,))) as records:
        yield from records


def _requests_of(connection: sqlite3.Connection) -> tuple[RequestRow, ...]:
    return tuple(map(REQUESTS.to_row, connection.execute(f"{REQUESTS.select} ORDER BY name")))


def has_execution(connection: sqlite3.Connection, *, execution: str) -> bool:
    """Return whether the store has an execution."""
    return connection.execute(schema.HAS_EXECUTION, (to_sql(execution),)).fetchone() is not None


def executions_of(connection: sqlite3.Connection) -> tuple[ExecutionRow, ...]:
    """Return all executions, in the order of their ids."""
    return tuple(map(EXECUTIONS.to_row, connection.execute(f"{EXECUTIONS.select} ORDER BY id")))


def last_results_of(connection: sqlite3.Connection) -> tuple[ResultRow, ...]:
    """Return the last result of each request, in the order of their names."""
    return tuple(ResultRow(*row[1:]) for row in connection.execute(schema.LAST_RESULTS))


def statuses_of(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many requests have each status, in the order of their first names."""
    return dict(connection.execute(schema.COUNT_STATUSES))


def coming_of(
    connection: sqlite3.Connection, *, at_most: int, by_due: bool = False
) -> tuple[Coming, ...]:
    """Return the earliest of the next fires; with `by_due`, the fires due first."""
    rows = connection.execute(schema.SELECT_COMING.format("due" if by_due else "fire"), (at_most,))
    return tuple(
        Coming(request=to_text(request), fire=fire, due=due) for request, fire, due in rows
    )


def backfills_of(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the JSON of each backfill that is not over, by the name of its request."""
    return {to_text(name): text for name, text in connection.execute(schema.SELECT_BACKFILLS)}


def results_of(connection: sqlite3.Connection, *, request: str) -> tuple[ResultRow, ...]:
    """Return the results of a request, the newest first."""
    return tuple(map(ResultRow._make, connection.execute(schema.RESULTS_OF, (to_sql(request),))))


def results_before(
    connection: sqlite3.Connection, row: ResultRow | None, at_most: int
) -> tuple[ResultRow, ...]:
    """Return the results that come before `row`, in descending order of request and end.

    Without a row they are the last ones.
    """
    # A blob comes after every text, whatever the names are.
    last: tuple[object, ...] = (b"", 0, "")
    if row is not None:
        last = (to_sql(row.request), row.ended, row.execution)
    return tuple(map(ResultRow._make, connection.execute(schema.RESULTS_BEFORE, (*last, at_most))))


def meta_of(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the notes of the owner about itself."""
    return {to_text(key): to_text(value) for key, value in connection.execute(schema.SELECT_META)}
