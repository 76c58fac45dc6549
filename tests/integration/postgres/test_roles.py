"""The database roles that the documentation lists, each with what it may do and no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from support.place import ROOT
from support.postgres import PostgresServer, execute

from runner.errors import StoreError
from runner.store.opening import mailbox_of, own_store, read_store
from runner.store.place import StorePlace
from runner.store.postgres.connecting.address import address_of
from runner.store.postgres.connecting.connection import Connection, connect
from runner.store.postgres.fleet import worker_reports, worker_side
from runner.store.rows import Batch, CommandRow, CommandStatus

_ROLES = ("runner_leader", "runner_worker", "runner_viewer")
_SQL = ROOT / "runner/packaging/postgresql/roles.sql"


@pytest.fixture
def url(database_url: str, postgres: PostgresServer) -> str:
    """Provide a database in which the roles have their rights, and may log in."""
    script = _SQL.read_text().replace(":schema", "runner")
    with (
        # The roles belong to the server, which other tests share: one of them creates each.
        psycopg.connect(postgres.url("postgres")) as guard,
        closing(connect(address_of(database_url))) as connection,
    ):
        guard.execute("SELECT pg_advisory_xact_lock(42)")
        connection.execute(script.encode())
        for role in _ROLES:
            connection.execute(f"ALTER ROLE {role} LOGIN".encode())
    return database_url


def _as(url: str, role: str) -> str:
    return url.replace("postgres@", f"{role}@")


def _command() -> CommandRow:
    return CommandRow("c", "reload", "{}", "the.ceo", 2**62, CommandStatus.PENDING)


def test_a_leader_leads_and_commands_but_changes_no_table(url: str, tmp_path: Path) -> None:
    place = StorePlace(folder=tmp_path, url=_as(url, "runner_leader"))
    with closing(own_store(place)) as store:
        store.commit(Batch(meta={"a": "1"}, records=[b"a\n"]))
        mailbox_of(place).post(_command())
        (command,) = store.take_commands(0)
        assert command.requested_by == "runner_leader"
        store.commit(Batch(answers={"c": "done"}))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(_as(url, "runner_leader"), "DROP TABLE records")


def test_a_viewer_reads_everything_and_writes_nothing(url: str, tmp_path: Path) -> None:
    place = StorePlace(folder=tmp_path, url=_as(url, "runner_viewer"))
    with closing(read_store(place)) as reader:
        assert reader.snapshot().meta == {}
        assert reader.statuses() == {}
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(place.url or "", "SELECT arguments FROM commands")
    with pytest.raises(StoreError, match="permission denied"):
        mailbox_of(place).post(_command())
    with pytest.raises(StoreError, match="permission denied"):
        own_store(place)


@pytest.fixture
def worker(url: str) -> Iterator[Connection]:
    with closing(connect(address_of(_as(url, "runner_worker")))) as connection:
        yield connection


def test_a_worker_takes_and_reports_and_changes_nothing_else(worker: Connection) -> None:
    node = worker_side.WorkerNode(
        name="w", machine="m", boot="b", state_id="s", instance="i", version="0",
        queues=("default",), concurrency=1,
    )  # fmt: skip
    worker_side.register(worker, node, ())
    assert worker_side.beat(worker, node, ()) == (False, None)
    assert worker_side.take(worker, node, at_most=1).found == 0
    worker_reports.send(
        worker,
        "w",
        [worker_reports.OutputRow("e", "e", 1, b"x")],
        [worker_reports.ReportRow("e", "started", 0, "{}")],
    )
    worker_side.leave(worker, node)
    worker.execute("SELECT count(*) FROM procrastinate_jobs")
    for statement in (
        "UPDATE executions SET phase = 'running'",
        "INSERT INTO records (seq, line) VALUES (1, 'forged')",
        "DELETE FROM requests",
        "INSERT INTO commands (id, kind, arguments, requested_by, deadline, status)"
        " VALUES ('c', 'exec', '{}', 'root', 1, 'pending')",
        "UPDATE lease SET epoch = epoch + 1",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            worker.execute(statement.encode())
