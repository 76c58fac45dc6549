"""The statements of a commit, inside its transaction. Writes the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from runner.store.protocol import DuplicateClaimError
from runner.store.rows import AlertRow, Batch, Mark
from runner.store.sqlite import schema
from runner.store.sqlite.schema import EXECUTIONS, REQUESTS, Row, Table, to_sql


def forget_records(connection: sqlite3.Connection, number: int, mark: Mark) -> None:
    """Delete the records up to `number` from the outbox: the log has them and ends at `mark`."""
    connection.execute(schema.FORGET_RECORDS, (number,))
    connection.execute(schema.UPSERT_MARK, (str(mark.file), mark.offset))


def write_batch(connection: sqlite3.Connection, batch: Batch) -> None:
    """Write everything of a batch but its definitions and records.

    Raises DuplicateClaimError.
    """
    for statement in (schema.PRUNE_REQUEST, schema.PRUNE_DEFINITION):
        connection.executemany(statement, ((to_sql(name),) for name in batch.pruned))
    _upsert(connection, REQUESTS, batch.requests.values())
    _claim(connection, batch)
    connection.executemany(
        schema.END_EXECUTION, ((to_sql(execution),) for execution in batch.ended)
    )
    # An execution may have ended under the former name, in the turn of the renaming.
    connection.executemany(schema.INSERT_RESULT, batch.results)
    connection.executemany(
        schema.RENAME_RESULTS,
        ((to_sql(name), to_sql(former)) for former, name in batch.renamed.items()),
    )
    connection.executemany(schema.FORGET_RESULT, ((execution,) for execution in batch.forgotten))
    connection.executemany(
        schema.ANSWER, ((to_sql(text), to_sql(command)) for command, text in batch.answers.items())
    )
    _write_alerts(connection, batch.alerts)
    _write_notifications(connection, batch.notifications)
    connection.executemany(
        schema.UPSERT_META, ((to_sql(key), to_sql(value)) for key, value in batch.meta.items())
    )


def write_definitions(connection: sqlite3.Connection, definitions: dict[str, str | None]) -> None:
    """Write definitions by the names of their requests; None deletes the text."""
    connection.executemany(
        schema.UPSERT_DEFINITION,
        ((to_sql(name), to_sql(text)) for name, text in definitions.items()),
    )


def _write_alerts(connection: sqlite3.Connection, rows: Iterable[AlertRow]) -> None:
    for row in rows:
        key = (to_sql(row.request), row.check_name)
        if row.state:
            connection.execute(schema.UPSERT_ALERT, (*key, to_sql(row.state)))
        else:
            connection.execute(schema.DELETE_ALERT, key)


def _write_notifications(connection: sqlite3.Connection, rows: dict[str, str | None]) -> None:
    for name, body in rows.items():
        if body is None:
            connection.execute(schema.DELETE_NOTIFICATION, (to_sql(name),))
        else:
            connection.execute(schema.UPSERT_NOTIFICATION, (to_sql(name), to_sql(body)))


def _claim(connection: sqlite3.Connection, batch: Batch) -> None:
    try:
        _upsert(connection, EXECUTIONS, batch.executions.values())
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            raise DuplicateClaimError(f"a fire was claimed twice: {error}") from error
        raise


def _upsert(connection: sqlite3.Connection, table: Table[Row], rows: Iterable[Row]) -> None:
    try:
        connection.executemany(table.upsert, map(table.values, rows))
    except UnicodeEncodeError:
        # Text that is not UTF-8 is rare, and to check for it in advance is expensive. An
        # upsert may be repeated.
        connection.executemany(table.upsert, map(table.to_sql, rows))
