"""What a worker sends: its reports, and the outputs of its executions. Touches the database.

Each function is one statement. It raises psycopg.Error, and then the worker does not know
whether its change was committed: each change may be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from runner.store.postgres.connecting.connection import Connection
from runner.store.postgres.content.texts import to_sql

_SEND = b"""
    WITH output AS (
        INSERT INTO outputs (execution, name, sequence, data)
        SELECT * FROM unnest(%(output_executions)s::text[], %(output_names)s::text[],
            %(output_sequences)s::int[], %(output_data)s::bytea[])),
    report AS (
        INSERT INTO reports (execution, node, kind, sequence, body)
        SELECT execution, %(node)s, kind, sequence, body
        FROM unnest(%(executions)s::text[], %(kinds)s::text[], %(sequences)s::int[],
            %(bodies)s::text[]) WITH ORDINALITY AS r (execution, kind, sequence, body, place)
        ORDER BY place ON CONFLICT DO NOTHING)
    SELECT pg_notify('runner_reports', '') WHERE cardinality(%(executions)s::text[]) > 0
    """


class ReportRow(NamedTuple):
    """A report for the leader."""

    execution: str
    kind: str
    sequence: int
    body: str


class OutputRow(NamedTuple):
    """A chunk of an execution's output."""

    execution: str
    name: str
    """That of its file, without suffix."""
    sequence: int
    """Counts from 1."""
    data: bytes


def send(
    connection: Connection, node: str, outputs: Sequence[OutputRow], reports: Sequence[ReportRow]
) -> None:
    """Commit chunks of outputs and reports in one statement, and wake the leader for reports.

    A report that is there already stays as it is.
    """
    connection.execute(
        _SEND,
        {
            "node": to_sql(node),
            "executions": [each.execution for each in reports],
            "kinds": [each.kind for each in reports],
            "sequences": [each.sequence for each in reports],
            "bodies": [to_sql(each.body) for each in reports],
            "output_executions": [each.execution for each in outputs],
            "output_names": [each.name for each in outputs],
            "output_sequences": [each.sequence for each in outputs],
            "output_data": [each.data for each in outputs],
        },
    )


def output_written(connection: Connection, execution: str) -> tuple[int, int]:
    """Return the number of the last chunk of an execution's output, and its bytes so far."""
    row = connection.execute(
        "SELECT coalesce(max(sequence), 0), coalesce(sum(octet_length(data)), 0)::bigint"
        " FROM outputs WHERE execution = %s",
        (execution,),
    ).fetchone()
    assert row is not None
    return row[0], row[1]
