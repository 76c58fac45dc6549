"""The offers of executions to workers, and what became of them, for the leader.

A row of `dispatches` decides who runs an execution; a job only says that one waits. An
untaken row proves that nothing has started. Jobs use no lock, retry or stalled-job feature
of Procrastinate. Touches the database: each function is one statement of the caller's
transaction, and raises psycopg.Error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from runner.store.postgres.connecting.connection import Connection
from runner.store.postgres.content.texts import to_sql, to_text
from runner.store.postgres.fleet.worker_side import TASK
from runner.store.rows import WORKER_AWAY_S

STOPS = "runner_stops"
"""The channel of NOTIFY on which workers hear that a stop was asked."""
DROPPED_REPORTS = "dropped_reports"
"""The key in the meta table of how many reports did not fit what the leader knew."""
_DEAD_S = 30.0
"""A worker of the queue whose heartbeat is older is dead; it renews it every 5 s or so."""
_UNSEEN_S = 5.0
"""A job may be between two states for so long."""
# Procrastinate's own function, in the caller's transaction and without a row in Python. The
# rows come in the order in which they were written.
_DEFER = """
    SELECT procrastinate_defer_jobs_v1(array_agg(ROW(queue, %s, 0, NULL, NULL,
        jsonb_build_object('execution', execution, 'dispatch', dispatch), NULL)
        ::procrastinate_job_to_defer_v1)) FROM offered HAVING count(*) > 0"""


class LostDispatch(NamedTuple):
    """An execution that a worker took and does not run."""

    execution: str
    node: str
    is_silent: bool
    """Whether nothing is heard of the worker; else it does not list the execution."""


def offer(connection: Connection, queues: Mapping[str, str]) -> None:
    """Offer executions, each in its queue, with a job for each, in this order.

    An execution that is offered already keeps its offer.
    """
    connection.execute(
        f"WITH offered AS (INSERT INTO dispatches (execution, dispatch, queue)"
        f" SELECT execution, gen_random_uuid(), queue"
        f" FROM unnest(%s::text[], %s::text[]) AS o (execution, queue)"
        f" ON CONFLICT (execution) DO NOTHING RETURNING execution, dispatch, queue) {_DEFER}",
        (list(map(to_sql, queues)), list(map(to_sql, queues.values())), TASK),
    )


def offer_again(connection: Connection, unheard: Iterable[tuple[str, UUID]]) -> None:
    """Give untaken executions a new dispatch id, each in the place of the former one, and a job.

    What a worker has taken meanwhile keeps its id.
    """
    former = list(unheard)
    connection.execute(
        f"WITH offered AS (UPDATE dispatches AS d"
        f" SET dispatch = gen_random_uuid(), offered_at = clock_timestamp()"
        f" FROM unnest(%s::text[], %s::uuid[]) AS o (execution, old)"
        f" WHERE d.execution = o.execution AND d.dispatch = o.old AND d.taken_by IS NULL"
        f" AND d.stop_reason IS NULL RETURNING d.execution, d.dispatch, d.queue) {_DEFER}",
        (
            [to_sql(execution) for execution, _ in former],
            [dispatch for _, dispatch in former],
            TASK,
        ),
    )


def stop(connection: Connection, reasons: Mapping[str, str]) -> dict[str, bool]:
    """Ask executions to end; return for each whether a worker has taken it.

    An untaken one gets a dispatch id that no job names, so no worker will take it.
    """
    rows = connection.execute(
        "UPDATE dispatches AS d SET stop_reason = s.reason,"
        " dispatch = CASE WHEN taken_by IS NULL THEN gen_random_uuid() ELSE dispatch END"
        " FROM unnest(%s::text[], %s::text[]) AS s(execution, reason)"
        " WHERE d.execution = s.execution RETURNING d.execution, d.taken_by IS NOT NULL",
        ([to_sql(each) for each in reasons], list(reasons.values())),
    )
    stopped = {to_text(execution): bool(is_taken) for execution, is_taken in rows}
    if any(stopped.values()):
        connection.execute(f"NOTIFY {STOPS}".encode())
    return stopped


def dispatched(connection: Connection) -> set[str]:
    """Return the executions that workers may take or have taken."""
    return {
        to_text(execution)
        for (execution,) in connection.execute("SELECT execution FROM dispatches")
    }


def unheard(connection: Connection) -> list[tuple[str, UUID]]:
    """Return the untaken executions, with their dispatch ids, of which no job will tell.

    Their jobs are missing or finished, or belong to a dead worker of the queue.
    """
    rows = connection.execute(
        "SELECT execution, dispatch FROM dispatches AS d"
        " WHERE taken_by IS NULL AND stop_reason IS NULL"
        " AND offered_at < clock_timestamp() - make_interval(secs => %(unseen)s)"
        " AND dispatch::text NOT IN ("
        " SELECT args->>'dispatch' FROM procrastinate_jobs AS j"
        " LEFT JOIN procrastinate_workers AS w ON w.id = j.worker_id"
        " WHERE args->>'dispatch' IS NOT NULL AND (status = 'todo' OR status = 'doing'"
        " AND w.last_heartbeat > clock_timestamp() - make_interval(secs => %(dead)s)))",
        {"unseen": _UNSEEN_S, "dead": _DEAD_S},
    )
    return [(to_text(execution), dispatch) for execution, dispatch in rows]


def lost(connection: Connection, lost_after_s: float) -> list[LostDispatch]:
    """Return the executions that a worker took and does not run, and did not report either.

    A worker lists an execution from the first heartbeat after its take until the leader
    has its last report.
    """
    rows = connection.execute(
        "SELECT execution, taken_by, is_silent FROM (SELECT d.execution, d.taken_by,"
        " n.name IS NULL OR n.heartbeat < clock_timestamp() - make_interval(secs => %s)"
        " AS is_silent,"
        " n.heartbeat > d.taken_at AND d.execution <> ALL(n.executions) AS is_unlisted"
        " FROM dispatches AS d LEFT JOIN nodes AS n ON n.name = d.taken_by AND n.kind = 'work'"
        " WHERE d.taken_by IS NOT NULL) AS taken WHERE (is_silent OR is_unlisted)"
        " AND NOT EXISTS (SELECT FROM reports AS r WHERE r.execution = taken.execution"
        " AND r.kind IN ('not_started', 'finished'))",
        (lost_after_s,),
    )
    return [
        LostDispatch(to_text(execution), to_text(node), bool(is_silent))
        for execution, node, is_silent in rows
    ]


def definitions_with_queues(connection: Connection) -> list[str]:
    """Return the definitions of requests in force in whose text a queue may be named."""
    rows = connection.execute(
        "SELECT definition FROM definitions JOIN requests USING (name)"
        " WHERE file IS NOT NULL AND strpos(definition, '\"queue\"') > 0"
    )
    return [to_text(definition) for (definition,) in rows]


def unserved(connection: Connection, named: Collection[str]) -> list[str]:
    """Return which of the `named` queues, and those with a waiting execution, no worker serves.

    A worker that drains or was silent for a while serves none.
    """
    rows = connection.execute(
        "(SELECT unnest(%(named)s::text[]) UNION SELECT queue FROM dispatches"
        " WHERE taken_by IS NULL AND stop_reason IS NULL) EXCEPT"
        " SELECT unnest(queues) FROM nodes WHERE kind = 'work' AND NOT is_draining"
        " AND heartbeat > clock_timestamp() - make_interval(secs => %(silent)s) ORDER BY 1",
        {"named": list(map(to_sql, named)), "silent": WORKER_AWAY_S},
    )
    return [to_text(queue) for (queue,) in rows]


class ReportRow(NamedTuple):
    """A report of a worker; `kind` and `body` are as `node_reports` writes them."""

    id: int
    execution: str
    node: str
    kind: str
    body: str


def reports(connection: Connection, known: Collection[int], *, at_most: int) -> list[ReportRow]:
    """Return reports whose ids are not `known`, the oldest first.

    The ids are not in the order of the commits, so the highest one seen says nothing.
    """
    rows = connection.execute(
        "SELECT id, execution, node, kind, body FROM reports WHERE id <> ALL(%s::bigint[])"
        " ORDER BY id LIMIT %s",
        (list(known), at_most),
    )
    return [ReportRow(number, *map(to_text, texts)) for number, *texts in rows]


def forget_reports(connection: Connection, ids: Collection[int], *, dropped: int) -> None:
    """Delete reports that the leader has noted, and those that it dropped; count the latter."""
    connection.execute("DELETE FROM reports WHERE id = ANY(%s::bigint[])", (list(ids),))
    if dropped:
        connection.execute(
            "INSERT INTO meta VALUES (%(key)s, %(count)s) ON CONFLICT (key)"
            " DO UPDATE SET value = (meta.value::bigint + %(count)s)::text",
            {"key": DROPPED_REPORTS, "count": dropped},
        )
