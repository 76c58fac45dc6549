"""The statements of a commit, inside its transaction. Writes the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg.errors import UniqueViolation

from runner.store.postgres.connection import Connection
from runner.store.postgres.queries import text_of
from runner.store.postgres.tables import (
    ALERTS,
    EXECUTIONS,
    REQUESTS,
    RESULTS,
    requests_text,
    rows_text,
)
from runner.store.postgres.texts import to_sql
from runner.store.protocol import DuplicateClaimError
from runner.store.rows import AlertRow, Batch, Mark

_SET_MARK = """UPDATE nodes SET log_seq = GREATEST(log_seq, %s), log_file = %s, log_offset = %s
    WHERE kind = 'start' AND state_id = %s"""
_INSERT_RECORDS = """INSERT INTO records (seq, line)
    SELECT seq, line FROM json_to_recordset(%s::json) AS r (seq bigint, line text)"""


def set_mark(connection: Connection, state_id: str, number: int, mark: Mark) -> None:
    """Note that a node's log has the records up to `number`, and ends at `mark`."""
    connection.execute(_SET_MARK, (number, str(mark.file), mark.offset, state_id))


def write_records(connection: Connection, records: Sequence[tuple[int, bytes]]) -> None:
    """Write records with their numbers, and wake the nodes that copy them."""
    if records:
        rows = [{"seq": number, "line": text_of(line)} for number, line in records]
        connection.execute(_INSERT_RECORDS, (rows_text(rows),))
        connection.execute("NOTIFY runner_records")


def write_batch(connection: Connection, batch: Batch) -> None:
    """Write everything of a batch but its definitions, records and answers.

    Raises DuplicateClaimError.
    """
    _delete(connection, "requests", "name", batch.pruned)
    _delete(connection, "definitions", "name", batch.pruned)
    if batch.requests:
        connection.execute(REQUESTS.upsert.encode(), (requests_text(batch.requests.values()),))
    _claim(connection, batch)
    _delete(connection, "executions", "id", batch.ended)
    # An execution may have ended under the former name, in the turn of the renaming.
    results = {row.execution: row for row in batch.results}
    if results:
        connection.execute(RESULTS.upsert.encode(), (RESULTS.text(results.values()),))
    for former, name in batch.renamed.items():
        connection.execute(
            "UPDATE results SET request = %s WHERE request = %s", (to_sql(name), to_sql(former))
        )
    _delete(connection, "results", "execution", batch.forgotten)
    _write_alerts(connection, batch.alerts)
    _write_pairs(connection, "notifications", ("id", "body"), batch.notifications)
    _write_pairs(connection, "meta", ("key", "value"), batch.meta)


def write_definitions(connection: Connection, definitions: dict[str, str | None]) -> None:
    """Write definitions by the names of their requests; None deletes the text."""
    _upsert_pairs(connection, "definitions", ("name", "definition"), definitions)


def _claim(connection: Connection, batch: Batch) -> None:
    if not batch.executions:
        return
    try:
        text = EXECUTIONS.text(batch.executions.values())
        connection.execute(EXECUTIONS.upsert.encode(), (text,))
    except UniqueViolation as error:
        if error.diag.constraint_name == "claims":
            raise DuplicateClaimError(f"a fire was claimed twice: {error}") from error
        raise


def _write_alerts(connection: Connection, rows: Iterable[AlertRow]) -> None:
    last = {(row.request, row.check_name): row for row in rows}
    if kept := [row for row in last.values() if row.state]:
        connection.execute(ALERTS.upsert.encode(), (ALERTS.text(kept),))
    for row in last.values():
        if not row.state:
            connection.execute(
                "DELETE FROM alerts WHERE request = %s AND check_name = %s",
                (to_sql(row.request), to_sql(row.check_name)),
            )


def _write_pairs(
    connection: Connection, table: str, columns: tuple[str, str], pairs: dict[str, Any]
) -> None:
    """Write keys with their values; None deletes a row."""
    kept = {key: value for key, value in pairs.items() if value is not None}
    _upsert_pairs(connection, table, columns, kept)
    _delete(connection, table, columns[0], [key for key in pairs if key not in kept])


def _upsert_pairs(
    connection: Connection, table: str, columns: tuple[str, str], pairs: dict[str, Any]
) -> None:
    if pairs:
        key, value = columns
        statement = (
            f"INSERT INTO {table} ({key}, {value})"
            f" SELECT {key}, {value} FROM json_populate_recordset(NULL::{table}, %s::json)"
            f" ON CONFLICT ({key}) DO UPDATE SET {value} = excluded.{value}"
        )
        rows = [dict(zip(columns, pair, strict=True)) for pair in pairs.items()]
        connection.execute(statement.encode(), (rows_text(rows),))


def _delete(connection: Connection, table: str, column: str, keys: Sequence[str]) -> None:
    if keys:
        connection.execute(
            f"DELETE FROM {table} WHERE {column} = ANY(%s)".encode(), (list(map(to_sql, keys)),)
        )
