"""What a worker reads and writes in the fleet's tables. Touches the database.

Each function is one statement, or one transaction of a few. It raises psycopg.Error, and
then the worker does not know whether its change was committed: each change may be repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from runner.store.postgres.connection import Connection
from runner.store.postgres.texts import to_sql, to_text
from runner.store.rows import ExecutionRow, Phase

_EXECUTION = ", ".join(f"e.{name}" for name in ExecutionRow._fields)

TASK = "runner.execute"
"""The name of Procrastinate's task. The arguments of a job are `execution` and `dispatch`."""
JOBS = "jobs"
"""The key under which the leader notes its jobs folder."""
LOST_AFTER = "lost_after_s"
"""The key under which the leader notes after how many seconds a silent worker is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerNode:
    """A worker as the others see it."""

    name: str
    machine: str
    boot: str
    state_id: str
    instance: str
    """Random for each start; only the newest instance of a name takes executions."""
    version: str
    queues: tuple[str, ...]
    concurrency: int


class Former(NamedTuple):
    """The worker that was registered under a name before."""

    machine: str
    boot: str
    state_id: str
    age_s: float
    """How long ago its last heartbeat arrived, in seconds of the database's clock."""


class Delivery(NamedTuple):
    """A job that says: this execution waits for a worker."""

    execution: str
    dispatch: str
    """The id of the offer. A withdrawn or repeated offer has another one."""
    take: str
    """The random token of this worker's take. To repeat a take with it is harmless."""


class ReportRow(NamedTuple):
    """A report for the leader."""

    execution: str
    kind: str
    sequence: int
    body: str


class Holding(NamedTuple):
    """An execution that the store counts as this worker's."""

    execution: str
    take: str
    stop_reason: str | None


def former_worker(connection: Connection, name: str) -> Former | None:
    """Lock a name's row until the end of the transaction, and return its worker."""
    row = connection.execute(
        "SELECT machine, boot, state_id,"
        " extract(epoch FROM clock_timestamp() - heartbeat)::float8"
        " FROM nodes WHERE name = %s AND kind = 'work' FOR UPDATE",
        (to_sql(name),),
    ).fetchone()
    return None if row is None else Former(*row)


def register(connection: Connection, node: WorkerNode, executions: Collection[str]) -> None:
    """Register a worker in the place of any other one of its name."""
    connection.execute(
        "INSERT INTO nodes (name, kind, machine, boot, state_id, instance, version, queues,"
        " concurrency, executions)"
        " VALUES (%s, 'work', %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (name, kind) DO UPDATE SET machine = excluded.machine,"
        " boot = excluded.boot, state_id = excluded.state_id, instance = excluded.instance,"
        " version = excluded.version, queues = excluded.queues,"
        " concurrency = excluded.concurrency, executions = excluded.executions,"
        " is_draining = false, joined = clock_timestamp(), heartbeat = clock_timestamp()",
        (
            to_sql(node.name),
            node.machine,
            node.boot,
            node.state_id,
            node.instance,
            node.version,
            [to_sql(queue) for queue in node.queues],
            node.concurrency,
            list(executions),
        ),
    )


def beat(connection: Connection, node: WorkerNode, executions: Collection[str]) -> bool | None:
    """Write a heartbeat with the list of the worker's executions.

    Return whether the worker is asked to drain; None if this instance is not registered.
    """
    row = connection.execute(
        "UPDATE nodes SET heartbeat = clock_timestamp(), executions = %s"
        " WHERE name = %s AND kind = 'work' AND instance = %s RETURNING is_draining",
        (list(executions), to_sql(node.name), node.instance),
    ).fetchone()
    return None if row is None else bool(row[0])


def leave(connection: Connection, node: WorkerNode) -> None:
    """Remove the registration of a worker that has nothing left to report."""
    connection.execute(
        "DELETE FROM nodes WHERE name = %s AND kind = 'work' AND instance = %s",
        (to_sql(node.name), node.instance),
    )


def holdings(connection: Connection, name: str) -> list[Holding]:
    """Return the executions that the store counts as those of a worker."""
    rows = connection.execute(
        "SELECT execution, take::text, stop_reason FROM dispatches WHERE taken_by = %s",
        (to_sql(name),),
    )
    return [Holding(*row) for row in rows]


def take(
    connection: Connection, node: WorkerNode, deliveries: Sequence[Delivery]
) -> dict[str, ExecutionRow]:
    """Take the executions that still wait for a worker; return them by the token of the take.

    The others were withdrawn, offered anew, or taken by another worker. Nothing is taken
    once another instance of this worker is registered, and nothing new once it is to drain.
    """
    if not deliveries:
        return {}
    with connection.transaction():
        taken = connection.execute(
            "UPDATE dispatches AS d SET taken_by = %(node)s, take = t.take,"
            " taken_at = coalesce(d.taken_at, clock_timestamp())"
            " FROM unnest(%(executions)s::text[], %(dispatches)s::uuid[], %(takes)s::uuid[])"
            " AS t(execution, dispatch, take)"
            " WHERE d.execution = t.execution AND d.dispatch = t.dispatch"
            " AND EXISTS (SELECT FROM nodes WHERE name = %(node)s AND kind = 'work'"
            " AND instance = %(instance)s"
            " AND (d.take = t.take OR d.taken_by IS NULL AND NOT is_draining))"
            " RETURNING d.execution, d.take::text",
            {
                "node": to_sql(node.name),
                "instance": node.instance,
                "executions": [each.execution for each in deliveries],
                "dispatches": [each.dispatch for each in deliveries],
                "takes": [each.take for each in deliveries],
            },
        ).fetchall()
        rows = executions(connection, [execution for execution, _ in taken])
        return {take: rows[execution] for execution, take in taken}


def executions(connection: Connection, ids: Sequence[str]) -> dict[str, ExecutionRow]:
    """Return executions in progress by id."""
    rows = connection.execute(
        f"SELECT {_EXECUTION} FROM executions e WHERE e.id = ANY(%s)".encode(), (list(ids),)
    )
    return {row.id: row for row in map(_row, rows)}


def report(connection: Connection, node: str, reports: Iterable[ReportRow]) -> None:
    """Write reports, and wake the leader. One that is there already stays as it is."""
    rows = [(each.execution, to_sql(node), *each[1:3], to_sql(each.body)) for each in reports]
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO reports (execution, node, kind, sequence, body)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            rows,
        )
        cursor.execute("NOTIFY runner_reports")


def output_written(connection: Connection, execution: str) -> tuple[int, int]:
    """Return the number of the last chunk of an execution's output, and its bytes so far."""
    row = connection.execute(
        "SELECT coalesce(max(sequence), 0), coalesce(sum(octet_length(data)), 0)::bigint"
        " FROM outputs WHERE execution = %s",
        (execution,),
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def write_output(
    connection: Connection, execution: str, name: str, sequence: int, data: bytes
) -> None:
    """Write a chunk of an execution's output. `name` is that of its file, without suffix."""
    connection.execute(
        "INSERT INTO outputs (execution, name, sequence, data) VALUES (%s, %s, %s, %s)",
        (execution, name, sequence, data),
    )


def meta_value(connection: Connection, key: str) -> str | None:
    """Return what the leader has noted under a key."""
    row = connection.execute("SELECT value FROM meta WHERE key = %s", (key,)).fetchone()
    return None if row is None else to_text(row[0])


def _row(columns: tuple[Any, ...]) -> ExecutionRow:
    texts = (to_text(each) if isinstance(each, str) else each for each in columns)
    row = ExecutionRow._make(texts)
    return row._replace(phase=Phase(row.phase))


def ask_to_drain(connection: Connection, name: str) -> int | None:
    """Ask a worker to take nothing new; return how many executions it has, None if unknown."""
    row = connection.execute(
        "UPDATE nodes SET is_draining = true WHERE name = %s AND kind = 'work'"
        " RETURNING (SELECT count(*) FROM dispatches WHERE taken_by = nodes.name)",
        (to_sql(name),),
    ).fetchone()
    connection.execute("NOTIFY runner_stops")
    return None if row is None else int(row[0])


def worker_names(connection: Connection) -> list[str]:
    """Return the names of all workers."""
    rows = connection.execute("SELECT name FROM nodes WHERE kind = 'work' ORDER BY name")
    return [to_text(name) for (name,) in rows]
