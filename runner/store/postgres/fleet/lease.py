"""The lease: the row that decides which node leads a fleet. Touches the database.

Each function is one statement. All times are those of the database's clock.

While a node leads, its lease is its sign of life, and the heartbeat of its row in `nodes` is
old. The statement that ends the lease writes the last sign of life there.
"""

from __future__ import annotations

from typing import NamedTuple

from runner.store.postgres.connecting.connection import Connection
from runner.store.postgres.content.texts import to_sql, to_text

LEASE_S = 10
"""How long a lease lasts after its renewal, in seconds."""
HANDED_OVER_S = 30
"""How long a lease lasts for the program that replaces the leader's: it takes long to start."""
RENEW_S = 3
"""After how long a leader renews its lease, in seconds."""
LAST_SIGN = (
    "greatest(heartbeat, least(clock_timestamp(), expires - make_interval(secs => %(lease)s)))"
)
"""The last sign of life of the node that has the lease, in SQL: its heartbeat or last renewal.

A lease that was handed over lasts longer, so the sign may be up to 20 s too late then.
"""
CHANNEL = "runner_lease"
"""The channel of NOTIFY on which a leader says that it gives up the lease."""


class Holder(NamedTuple):
    """Who takes the lease."""

    instance: str
    """Random for each time that a process begins to lead."""
    node: str
    state_id: str
    """The id of the node's state folder, which no other process holds."""
    pid: int


class Lease(NamedTuple):
    """A lease that was just taken."""

    epoch: int
    """Counts the times that it was taken."""
    record: int
    """The number of the newest record."""
    former_node: str | None


class LeaseView(NamedTuple):
    """The leadership as another process sees it."""

    node: str | None
    """The node that leads, or led last."""
    state_id: str | None
    pid: int | None
    epoch: int
    is_over: bool
    """Whether the lease has expired or was given up."""
    record: int
    now: float
    """The time of the database, in seconds since 1970-01-01T00:00Z."""


def view(connection: Connection) -> LeaseView:
    """Return the leadership now."""
    row = connection.execute(
        "SELECT node, state_id, pid, epoch, expires <= clock_timestamp(), record,"
        " extract(epoch FROM clock_timestamp())::float8 FROM lease"
    ).fetchone()
    assert row is not None, "a migration wrote the row"
    node, *others = row
    return LeaseView(None if node is None else to_text(node), *others)


def take(connection: Connection, holder: Holder) -> Lease | None:
    """Take the lease; return None while another node leads.

    A node's own lease may be taken at any time: its former process is gone, because it has
    lost the state folder. The row of the former leader's node gets its last sign of life.
    """
    row = connection.execute(
        "WITH former AS (SELECT node, state_id, expires FROM lease), taken AS ("
        " UPDATE lease SET holder = %(instance)s, node = %(node)s, state_id = %(state_id)s,"
        " pid = %(pid)s, epoch = epoch + 1, batch = 0,"
        " expires = clock_timestamp() + make_interval(secs => %(lease)s)"
        " FROM former WHERE lease.expires <= clock_timestamp()"
        " OR (lease.node = %(node)s AND lease.state_id = %(state_id)s)"
        " RETURNING epoch, record, former.node, former.state_id, former.expires),"
        f" seen AS (UPDATE nodes SET heartbeat = {LAST_SIGN} FROM taken"
        " WHERE kind = 'start' AND nodes.state_id = taken.state_id)"
        " SELECT epoch, record, node FROM taken",
        holder._asdict() | {"node": to_sql(holder.node), "lease": LEASE_S},
    ).fetchone()
    if row is None:
        return None
    return Lease(row[0], row[1], None if row[2] is None else to_text(row[2]))


def advance(connection: Connection, epoch: int, batch: int, records: int) -> int | None:
    """Begin the commit of a batch: renew the lease, and reserve numbers for its records.

    Return the number of the newest record before them. None: another node leads, or this
    very batch is already committed.
    """
    row = connection.execute(
        "UPDATE lease SET batch = %(batch)s, record = record + %(records)s,"
        " expires = clock_timestamp() + make_interval(secs => %(lease)s)"
        " WHERE epoch = %(epoch)s AND batch = %(batch)s - 1 RETURNING record - %(records)s",
        {"epoch": epoch, "batch": batch, "records": records, "lease": LEASE_S},
    ).fetchone()
    return None if row is None else int(row[0])


def renew(connection: Connection, epoch: int, *, lasts_s: int = LEASE_S) -> bool:
    """Renew the lease, also one that has expired; return False if another node leads."""
    done = connection.execute(
        "UPDATE lease SET expires = clock_timestamp() + make_interval(secs => %s) WHERE epoch = %s",
        (lasts_s, epoch),
    )
    return done.rowcount == 1


def give_up(connection: Connection, epoch: int) -> None:
    """Let another node take the lease at once; write the last sign of life of this one."""
    with connection.transaction():
        connection.execute(
            "WITH given AS (UPDATE lease SET expires = '-infinity' WHERE epoch = %s"
            " RETURNING state_id) UPDATE nodes SET heartbeat = clock_timestamp()"
            " FROM given WHERE kind = 'start' AND nodes.state_id = given.state_id",
            (epoch,),
        )
        connection.execute(f"NOTIFY {CHANNEL}")
