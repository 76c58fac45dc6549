"""Fills an empty store in PostgreSQL with the content of another one. Writes the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from runner.errors import RefusedError
from runner.store.postgres.connecting.address import Address
from runner.store.postgres.connecting.connection import Connection, connect, errors_in_words
from runner.store.postgres.content.changes import (
    batch_statements,
    definition_statements,
    execute_all,
    records_statements,
    records_text,
    set_mark,
)
from runner.store.postgres.fleet import lease
from runner.store.postgres.fleet.registry import registered_name
from runner.store.postgres.migrating import migrate
from runner.store.postgres.owner import in_use_words
from runner.store.rows import Batch, Mark, ResultRow, Snapshot
from runner.store.state_id import own_state_id

_AT_ONCE = 5000
_FILLED = ("requests", "executions", "results", "records", "meta", "alerts", "notifications")


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The content of a store."""

    snapshot: Snapshot
    results: tuple[ResultRow, ...]
    logged: Iterable[bytes]
    """The lines that the monitor log of this node has."""
    unlogged: Iterable[bytes]
    """The records that it may lack."""


def fill(
    address: Address, folder: Path, content: Content, *, before_commit: Callable[[], None]
) -> int:
    """Write the content in one transaction; return the number of records.

    This node, with the state folder, is registered with the log that it has. Raises
    RefusedError for a store that is not empty, or while a node leads, and StoreError.
    """
    with errors_in_words(address), _opened(address) as connection:
        migrate(connection, address)
        with connection.transaction():
            _require_unused(connection, address)
            registered_name(connection, own_state_id(folder))
            _write(connection, content.snapshot, content.results)
            logged = _write_lines(connection, content.logged, 0)
            last = _write_lines(connection, content.unlogged, logged)
            mark = content.snapshot.mark or Mark(file=0, offset=0)
            set_mark(connection, own_state_id(folder), logged, mark)
            connection.execute("UPDATE lease SET record = %s", (last,))
            before_commit()
    return last


def _require_unused(connection: Connection, address: Address) -> None:
    connection.execute("SELECT 1 FROM lease FOR UPDATE")  # no node begins to lead meanwhile
    if not lease.view(connection).is_over:
        raise RefusedError(in_use_words(connection, address))
    for table in _FILLED:
        row = connection.execute(f"SELECT EXISTS (SELECT FROM {table})".encode()).fetchone()
        if row and row[0]:
            raise RefusedError(
                f"the store {address.words} is not empty: it has {table}; copy into another"
                " database, or into another schema (`schema=NAME` in the URL)"
            )


def _write(connection: Connection, snapshot: Snapshot, results: tuple[ResultRow, ...]) -> None:
    requests = {row.name: row for row in snapshot.requests}
    batch = Batch(
        requests=requests,
        executions={row.id: row for row in snapshot.executions},
        meta=dict(snapshot.meta),
        alerts=list(snapshot.alerts),
        notifications=dict(snapshot.notifications),
    )
    definitions = {row.name: row.definition for row in snapshot.requests}
    execute_all(connection, [*definition_statements(definitions), *batch_statements(batch)])
    rest = iter(results)
    while portion := list(islice(rest, _AT_ONCE)):
        execute_all(connection, batch_statements(Batch(results=portion)))


def _write_lines(connection: Connection, lines: Iterable[bytes], last: int) -> int:
    """Write records after number `last`; return the number of the last one."""
    rest = iter(lines)
    while portion := list(islice(rest, _AT_ONCE)):
        execute_all(connection, records_statements(last, records_text(portion)))
        last += len(portion)
    return last


@contextmanager
def _opened(address: Address) -> Iterator[Connection]:
    connection = connect(address, what="runner store copy")
    try:
        # The log may be large, and reading it takes time between two statements.
        connection.execute("SET idle_in_transaction_session_timeout = '60s'")
        connection.execute("SET statement_timeout = '120s'")
        yield connection
    finally:
        connection.close()
