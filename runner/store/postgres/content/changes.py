"""The statements of a commit. They are made before its transaction begins: a transaction
that waits for the program would be ended by the server. Writes the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from psycopg.errors import UniqueViolation

from runner.store.postgres.connecting.connection import Connection
from runner.store.postgres.content.queries import text_of
from runner.store.postgres.content.tables import (
    ALERTS,
    EXECUTIONS,
    REQUESTS,
    RESULTS,
    requests_text,
    rows_text,
)
from runner.store.postgres.content.texts import to_sql
from runner.store.protocol import DuplicateClaimError
from runner.store.rows import AlertRow, Batch, Mark

_SET_MARK = """UPDATE nodes SET log_seq = GREATEST(log_seq, %s), log_file = %s, log_offset = %s
    WHERE kind = 'start' AND state_id = %s"""
_INSERT_RECORDS = """INSERT INTO records (seq, line)
    SELECT %s + n, line FROM json_to_recordset(%s::json) AS r (n bigint, line text)"""


class Statement(NamedTuple):
    """A statement with its parameters."""

    sql: str
    parameters: tuple[Any, ...]


def execute_all(connection: Connection, statements: Iterable[Statement]) -> None:
    """Execute statements as `at_once` does."""
    with at_once(connection):
        for statement in statements:
            connection.execute(statement.sql.encode(), statement.parameters)


@contextmanager
def at_once(connection: Connection) -> Iterator[None]:
    """Let the statements of the block be executed without a wait between them.

    Raises DuplicateClaimError and psycopg.Error; then the transaction must be rolled back.
    """
    try:
        with connection.pipeline():
            yield
    except UniqueViolation as error:
        if error.diag.constraint_name == "claims":
            raise DuplicateClaimError(f"a fire was claimed twice: {error}") from error
        raise


def set_mark(connection: Connection, state_id: str, number: int, mark: Mark) -> None:
    """Note that a node's log has the records up to `number`, and ends at `mark`."""
    connection.execute(_SET_MARK, (number, str(mark.file), mark.offset, state_id))


def records_text(lines: Sequence[bytes]) -> str:
    """Return the lines of records for `records_statements`."""
    return rows_text([{"n": n, "line": text_of(line)} for n, line in enumerate(lines, 1)])


def records_statements(last: int, text: str) -> Iterator[Statement]:
    """Write records after number `last`, and wake the nodes that copy them."""
    yield Statement(_INSERT_RECORDS, (last, text))
    yield Statement("NOTIFY runner_records", ())


def batch_statements(batch: Batch) -> Iterator[Statement]:
    """Write everything of a batch but its definitions, records and answers."""
    yield from _delete("requests", "name", batch.pruned)
    yield from _delete("definitions", "name", batch.pruned)
    if batch.requests:
        yield Statement(REQUESTS.upsert, (requests_text(batch.requests.values()),))
    if batch.executions:
        yield Statement(EXECUTIONS.upsert, (EXECUTIONS.text(batch.executions.values()),))
    yield from _delete("executions", "id", batch.ended)
    # An execution may have ended under the former name, in the turn of the renaming.
    if results := {row.execution: row for row in batch.results}:
        yield Statement(RESULTS.upsert, (RESULTS.text(results.values()),))
    for former, name in batch.renamed.items():
        yield Statement(
            "UPDATE results SET request = %s WHERE request = %s", (to_sql(name), to_sql(former))
        )
    yield from _delete("results", "execution", batch.forgotten)
    yield from _alerts(batch.alerts)
    yield from _pairs("notifications", ("id", "body"), batch.notifications)
    yield from _pairs("meta", ("key", "value"), batch.meta)


def definition_statements(definitions: dict[str, str | None]) -> Iterator[Statement]:
    """Write definitions by the names of their requests; None deletes the text."""
    return _upsert_pairs("definitions", ("name", "definition"), definitions)


def _alerts(rows: Iterable[AlertRow]) -> Iterator[Statement]:
    last = {(row.request, row.check_name): row for row in rows}
    if kept := [row for row in last.values() if row.state]:
        yield Statement(ALERTS.upsert, (ALERTS.text(kept),))
    for row in last.values():
        if not row.state:
            yield Statement(
                "DELETE FROM alerts WHERE request = %s AND check_name = %s",
                (to_sql(row.request), to_sql(row.check_name)),
            )


def _pairs(
    table: str, columns: tuple[str, str], pairs: dict[str, str] | dict[str, str | None]
) -> Iterator[Statement]:
    """Write keys with their values; None deletes a row."""
    kept: dict[str, str | None] = {key: value for key, value in pairs.items() if value is not None}
    yield from _upsert_pairs(table, columns, kept)
    yield from _delete(table, columns[0], [key for key in pairs if key not in kept])


def _upsert_pairs(
    table: str, columns: tuple[str, str], pairs: dict[str, str | None]
) -> Iterator[Statement]:
    if pairs:
        key, value = columns
        rows = [dict(zip(columns, pair, strict=True)) for pair in pairs.items()]
        yield Statement(
            f"INSERT INTO {table} ({key}, {value})"
            f" SELECT {key}, {value} FROM json_populate_recordset(NULL::{table}, %s::json)"
            f" ON CONFLICT ({key}) DO UPDATE SET {value} = excluded.{value}",
            (rows_text(rows),),
        )


def _delete(table: str, column: str, keys: Sequence[str]) -> Iterator[Statement]:
    if keys:
        yield Statement(f"DELETE FROM {table} WHERE {column} = ANY(%s)", (list(map(to_sql, keys)),))
