"""The tables of a fleet's store, and the words for a database that has others or none."""

from __future__ import annotations

import select
from contextlib import closing
from pathlib import Path

import pytest
from support.postgres import OwnServer, execute

from runner.errors import (
    LeaseLostError,
    StoreError,
    StoreInUseError,
    StoreMissingError,
    StoreUnwritableError,
)
from runner.store.opening import own_store
from runner.store.place import StorePlace
from runner.store.postgres import migrating
from runner.store.postgres.connecting.address import address_of
from runner.store.postgres.connecting.connection import connect, errors_in_words
from runner.store.postgres.migrating import NEWEST, migrate, require_current, version_of
from runner.store.postgres.schema import MIGRATIONS
from runner.store.rows import Batch


def test_migration_creates_all_tables_once(empty_database_url: str) -> None:
    address = address_of(empty_database_url)
    with closing(connect(address)) as connection:
        assert version_of(connection, address) == 0
        assert migrate(connection, address) == 0
        assert migrate(connection, address) == NEWEST
        require_current(connection, address)
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'runner'"
        ).fetchall()
    assert {("lease",), ("executions",), ("procrastinate_jobs",)} <= set(tables)


def test_two_stores_of_one_database_lie_in_schemas_of_their_own(database_url: str) -> None:
    other = address_of(f"{database_url}&schema=second")
    with closing(connect(other)) as connection:
        with pytest.raises(StoreMissingError, match="no store in the schema second"):
            require_current(connection, other)
        migrate(connection, other)
        require_current(connection, other)
        connection.execute("UPDATE lease SET epoch = 7")
    assert execute(database_url, "SELECT epoch FROM lease") == [(0,)]


def test_a_newer_schema_is_refused_in_words(database_url: str) -> None:
    execute(database_url, "INSERT INTO schema_version (version) VALUES (99)")
    address = address_of(database_url)
    with (
        closing(connect(address)) as connection,
        pytest.raises(StoreError, match="has version 99, this program knows up to"),
    ):
        migrate(connection, address)


def test_a_session_has_the_settings_that_keep_a_commit_durable(database_url: str) -> None:
    with closing(connect(address_of(database_url))) as connection:
        for name, value in {
            "synchronous_commit": "on",
            "idle_in_transaction_session_timeout": "5s",
            "search_path": "runner",
        }.items():
            assert connection.execute(f"SHOW {name}".encode()).fetchone() == (value,)


def test_an_error_of_the_connection_names_the_place_but_not_the_password(
    database_url: str, own_postgres: OwnServer
) -> None:
    with pytest.raises(StoreError, match="no_such_database") as caught:
        connect(
            address_of(
                f"postgresql://postgres:s3cret@/no_such_database?{database_url.split('?')[1]}"
            )
        )
    assert "s3cret" not in str(caught.value)
    own_postgres.stop()
    try:
        url = own_postgres.url("postgres").replace("postgres@", "postgres:s3cret@")
        with pytest.raises(StoreUnwritableError, match="cannot be reached") as unreachable:
            connect(address_of(url))
    finally:
        own_postgres.start()
    assert "s3cret" not in str(unreachable.value)


def test_an_older_store_is_not_migrated_while_another_node_leads(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = address_of(database_url)
    place = StorePlace(folder=tmp_path / "old", url=database_url)
    with closing(own_store(place)) as store, closing(connect(address)) as connection:
        monkeypatch.setattr(migrating, "MIGRATIONS", (*MIGRATIONS, ("CREATE TABLE newer (a int)",)))
        monkeypatch.setattr(migrating, "NEWEST", len(MIGRATIONS) + 1)
        with pytest.raises(StoreInUseError, match="still leads"):
            migrate(connection, address)
        with pytest.raises(StoreError, match="brings it up to date"):
            require_current(connection, address)
        connection.execute("UPDATE lease SET expires = clock_timestamp()")
        assert migrate(connection, address) == len(MIGRATIONS)
        require_current(connection, address)
        with pytest.raises(LeaseLostError):
            store.commit(Batch(meta={"by": "the old version"}))


@pytest.mark.parametrize(
    "end",
    [
        "SET idle_in_transaction_session_timeout = '10ms'",
        "SET transaction_timeout = '10ms'",
        "SELECT pg_terminate_backend(pg_backend_pid())",
        "SET statement_timeout = '10ms'",
    ],
)
def test_a_session_that_the_server_ends_is_trouble_that_passes(database_url: str, end: str) -> None:
    """A frozen program finds its session ended in the midst of a transaction."""
    address = address_of(database_url)
    with (
        closing(connect(address)) as connection,
        pytest.raises(StoreUnwritableError),
        errors_in_words(address),
        connection.transaction(),
    ):
        connection.execute(end.encode())
        select.select([connection.fileno()], [], [], 0.5)
        connection.execute("SELECT pg_sleep(0.5)")


def test_a_newer_procrastinate_brings_its_tables_along(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = address_of(database_url)
    newer = tmp_path / "99.00.00_01_pre_newer.sql"
    newer.write_text("CREATE TABLE procrastinate_newer (a int)")
    scripts = {**migrating._queue_scripts(), newer.name: newer}
    with closing(connect(address)) as connection:
        assert migrating._new_queue_scripts(connection) == {}
        monkeypatch.setattr(migrating, "_queue_scripts", lambda: scripts)
        assert migrate(connection, address) == NEWEST
        connection.execute("SELECT a FROM procrastinate_newer")
        assert migrating._new_queue_scripts(connection) == {}
        assert migrate(connection, address) == NEWEST
