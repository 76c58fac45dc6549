"""What a worker reads and writes in the fleet's tables. Touches the database.

Each function is one statement, or one transaction of a few. It raises psycopg.Error, and
then the worker does not know whether its change was committed: each change may be repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from runner.store.postgres.connecting.connection import Connection
from runner.store.postgres.content.texts import to_sql, to_text
from runner.store.rows import ExecutionRow, Phase, Wish

_EXECUTION = ", ".join(f"e.{name}" for name in ExecutionRow._fields)
# A take locks the row of its worker. So `drain` and a successor's registration wait for it,
# and it sees what they wrote. A token begins with the number of the job.
_TAKE = f"""
    WITH me AS MATERIALIZED (
        SELECT FROM nodes WHERE name = %(node)s AND kind = 'work' AND instance = %(instance)s
        AND NOT is_draining FOR SHARE),
    waiting AS MATERIALIZED (
        SELECT id FROM procrastinate_jobs WHERE status = 'todo' AND task_name = %(task)s
        AND queue_name = ANY(%(queues)s) AND EXISTS (SELECT FROM me)
        ORDER BY priority DESC, id LIMIT %(at_most)s FOR UPDATE SKIP LOCKED),
    job AS (
        DELETE FROM procrastinate_jobs AS j USING waiting WHERE j.id = waiting.id
        RETURNING j.id, j.args->>'execution' AS execution,
            (j.args->>'dispatch')::uuid AS dispatch),
    taken AS (
        UPDATE dispatches AS d SET taken_by = %(node)s, taken_at = clock_timestamp(),
            take = (lpad(to_hex(job.id), 16, '0')
                || right(replace(gen_random_uuid()::text, '-', ''), 16))::uuid
        FROM job WHERE d.execution = job.execution AND d.dispatch = job.dispatch
        AND d.taken_by IS NULL RETURNING d.execution, d.take)
    SELECT (SELECT value FROM meta WHERE key = %(jobs)s), counted.found, taken.take::text,
        {_EXECUTION}
    FROM (SELECT count(*) AS found FROM job) AS counted
    LEFT JOIN taken ON true LEFT JOIN executions AS e ON e.id = taken.execution
    """.encode()
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


class Taken(NamedTuple):
    """What a worker just took."""

    rows: dict[str, ExecutionRow]
    """By the random token of the take."""
    jobs: str | None
    """The leader's jobs folder."""
    found: int
    """How many jobs were found. The offers of some may be withdrawn, or taken already."""


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
        " is_draining = false, asked = NULL, joined = clock_timestamp(),"
        " heartbeat = clock_timestamp()",
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


class BeatAnswer(NamedTuple):
    """The answer to a heartbeat."""

    is_draining: bool
    asked: Wish | None
    """What the worker is asked to do."""


def beat(
    connection: Connection, node: WorkerNode, executions: Collection[str]
) -> BeatAnswer | None:
    """Write a heartbeat with the list of the worker's executions.

    Return None if this instance is not registered.
    """
    row = connection.execute(
        "UPDATE nodes SET heartbeat = clock_timestamp(), executions = %s"
        " WHERE name = %s AND kind = 'work' AND instance = %s RETURNING is_draining, asked",
        (list(executions), to_sql(node.name), node.instance),
    ).fetchone()
    return None if row is None else BeatAnswer(row[0], row[1] and Wish(row[1]))


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


def take(connection: Connection, node: WorkerNode, *, at_most: int) -> Taken:
    """Take executions that wait for a worker, in the order of their jobs, and end these jobs.

    Nothing is taken once another instance of this worker is registered, or once it is to
    drain. If the answer is lost, `is_registered` waits until the takes are certain, and
    `holdings` has them.
    """
    found = connection.execute(
        _TAKE,
        {
            "node": to_sql(node.name),
            "instance": node.instance,
            "queues": list(node.queues),
            "task": TASK,
            "at_most": at_most,
            "jobs": JOBS,
        },
    ).fetchall()
    rows = {take: _row(columns) for _, _, take, *columns in found if take is not None}
    jobs, count = (found[0][0], found[0][1]) if found else (None, 0)
    return Taken(rows=rows, jobs=None if jobs is None else to_text(jobs), found=count)


def token_of(take: str) -> int:
    """Return the number of the job by which a take came: a later attempt has a higher one."""
    return UUID(take).int >> 64


def is_registered(connection: Connection, node: WorkerNode) -> bool:
    """Return whether this instance of a worker is registered.

    A session that broke in the midst of a take has ended by then, one way or the other.
    """
    row = connection.execute(
        "SELECT instance = %s FROM nodes WHERE name = %s AND kind = 'work' FOR UPDATE",
        (node.instance, to_sql(node.name)),
    ).fetchone()
    return row is not None and bool(row[0])


def executions(connection: Connection, ids: Sequence[str]) -> dict[str, ExecutionRow]:
    """Return executions in progress by id."""
    rows = connection.execute(
        f"SELECT {_EXECUTION} FROM executions e WHERE e.id = ANY(%s)".encode(), (list(ids),)
    )
    return {row.id: row for row in map(_row, rows)}


def meta_value(connection: Connection, key: str) -> str | None:
    """Return what the leader has noted under a key."""
    row = connection.execute("SELECT value FROM meta WHERE key = %s", (key,)).fetchone()
    return None if row is None else to_text(row[0])


def _row(columns: Iterable[Any]) -> ExecutionRow:
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
