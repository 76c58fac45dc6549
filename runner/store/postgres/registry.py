"""The rows of the nodes that may lead, and the records that their logs still need. Writes
the database.
"""

from __future__ import annotations

from runner.store.postgres.connection import Connection
from runner.store.postgres.lease import Holder
from runner.store.postgres.texts import to_sql
from runner.store.rows import KEPT_DAYS


def register(connection: Connection, holder: Holder, *, version: str) -> None:
    """Register the node that leads. With another state folder, its log begins anew."""
    connection.execute(
        "INSERT INTO nodes (name, kind, machine, boot, state_id, instance, version)"
        " VALUES (%s, 'start', '', '', %s, %s, %s)"
        " ON CONFLICT (name, kind) DO UPDATE SET state_id = excluded.state_id,"
        " instance = excluded.instance, version = excluded.version,"
        " heartbeat = clock_timestamp(),"
        " log_seq = CASE WHEN nodes.state_id = excluded.state_id THEN nodes.log_seq ELSE 0 END,"
        " log_file = CASE WHEN nodes.state_id = excluded.state_id THEN nodes.log_file END,"
        " log_offset = CASE WHEN nodes.state_id = excluded.state_id THEN nodes.log_offset END",
        (to_sql(holder.node), holder.state_id, holder.instance, version),
    )


def prune_records(connection: Connection) -> None:
    """Delete a limited number of old records that every node has in its log."""
    connection.execute(
        "DELETE FROM records WHERE seq IN (SELECT seq FROM records ORDER BY seq LIMIT 1000)"
        " AND at < clock_timestamp() - make_interval(days => %(days)s)"
        " AND seq <= (SELECT min(log_seq) FROM nodes WHERE kind = 'start'"
        " AND heartbeat > clock_timestamp() - make_interval(days => %(days)s))",
        {"days": KEPT_DAYS},
    )
