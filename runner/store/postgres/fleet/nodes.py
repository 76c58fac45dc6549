"""The nodes of a fleet that lead or stand by, and what the monitor log of each one has.

Touches the database. Each function raises psycopg.Error; its change may be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from runner.store.postgres.connecting.connection import Connection
from runner.store.postgres.content.texts import to_sql, to_text
from runner.store.postgres.fleet import lease
from runner.store.rows import Fleet, Mark, NodeRow, Wish

SILENT_S = 15
"""A node whose heartbeat is older has probably ended, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartNode:
    """A node that can lead."""

    name: str
    machine: str
    """The machine's id; empty where there is none."""
    boot: str
    state_id: str
    """The id of its state folder."""
    instance: str
    """Random for each time that it begins to stand by."""
    version: str


class BeatAnswer(NamedTuple):
    """The answer to a heartbeat."""

    asked: Wish | None
    """What the node is asked to do."""


class LogEnd(NamedTuple):
    """What a node's own monitor log has, as far as the store knows."""

    number: int
    """The number of its newest record; 0 without one."""
    mark: Mark | None


def name_of(connection: Connection, state_id: str) -> str | None:
    """Return the name of the node that has a state folder; None for a new one."""
    row = connection.execute(
        "SELECT name FROM nodes WHERE kind = 'start' AND state_id = %s", (state_id,)
    ).fetchone()
    return None if row is None else to_text(row[0])


def register(connection: Connection, node: StartNode) -> LogEnd | None:
    """Register a node, and return what its log has; None if another one has the name.

    Another one has another state folder, or a copy of it on another machine that is alive.
    """
    row = connection.execute(
        "INSERT INTO nodes (name, kind, machine, boot, state_id, instance, version)"
        " VALUES (%(name)s, 'start', %(machine)s, %(boot)s, %(state_id)s, %(instance)s,"
        " %(version)s)"
        " ON CONFLICT (name, kind) DO UPDATE SET machine = excluded.machine,"
        " boot = excluded.boot, instance = excluded.instance, version = excluded.version,"
        " asked = NULL, joined = clock_timestamp(), heartbeat = clock_timestamp()"
        " WHERE nodes.state_id = excluded.state_id AND (nodes.machine = excluded.machine"
        " OR nodes.heartbeat < clock_timestamp() - make_interval(secs => %(silent)s))"
        " RETURNING log_seq, log_file, log_offset",
        {
            "name": to_sql(node.name),
            "machine": node.machine,
            "boot": node.boot,
            "state_id": node.state_id,
            "instance": node.instance,
            "version": node.version,
            "silent": SILENT_S,
        },
    ).fetchone()
    return None if row is None else LogEnd(row[0], mark_in(row[1], row[2]))


def mark_in(file: str | None, offset: int | None) -> Mark | None:
    """Return the mark in two columns."""
    return None if file is None or offset is None else Mark(file=int(file), offset=offset)


def beat(connection: Connection, node: StartNode, clock_offset_s: float) -> BeatAnswer | None:
    """Write a heartbeat. Return None if this instance is not registered any more."""
    row = connection.execute(
        "UPDATE nodes SET heartbeat = clock_timestamp(), clock_offset_s = %s"
        " WHERE name = %s AND kind = 'start' AND instance = %s RETURNING asked",
        (clock_offset_s, to_sql(node.name), node.instance),
    ).fetchone()
    return None if row is None else BeatAnswer(row[0] and Wish(row[0]))


def accept(connection: Connection, node: StartNode) -> bool:
    """Accept what a node is asked to do; return False if it was withdrawn."""
    done = connection.execute(
        "UPDATE nodes SET asked = NULL"
        " WHERE name = %s AND kind = 'start' AND instance = %s AND asked IS NOT NULL",
        (to_sql(node.name), node.instance),
    )
    return done.rowcount == 1


def oldest_record(connection: Connection) -> int | None:
    """Return the number of the oldest record; None without one."""
    row = connection.execute("SELECT min(seq) FROM records").fetchone()
    return None if row is None else row[0]


def fleet(connection: Connection) -> Fleet:
    """Return who leads, and all nodes."""
    leading = lease.view(connection)
    rows = connection.execute(
        "SELECT name, kind, instance, version,"
        " greatest(extract(epoch FROM clock_timestamp() - CASE"
        f" WHEN kind = 'start' AND nodes.state_id = lease.state_id THEN {lease.LAST_SIGN}"
        " ELSE heartbeat END)::float8, 0), clock_offset_s,"
        " coalesce(queues, '{}'), concurrency, cardinality(executions), is_draining, log_seq"
        " FROM nodes CROSS JOIN lease ORDER BY kind, name",
        {"lease": lease.LEASE_S},
    ).fetchall()
    return Fleet(
        leader=None if leading.is_over else leading.node,
        epoch=leading.epoch,
        record=leading.record,
        now=leading.now,
        nodes=tuple(map(_node_row, rows)),
    )


def _node_row(row: tuple[Any, ...]) -> NodeRow:
    name, kind, instance, version, silent_s, offset_s, queues, *others = row
    queues = tuple(map(to_text, queues))
    return NodeRow(to_text(name), kind, instance, version, silent_s, offset_s, queues, *others)
