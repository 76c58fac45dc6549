"""`runner store`: creating a store in PostgreSQL, and moving one there."""

from __future__ import annotations

from contextlib import closing

import pytest
from support.place import Place
from support.postgres import execute

from runner.store.opening import own_store, read_store
from runner.store.place import StorePlace
from runner.store.rows import Snapshot

pytestmark = pytest.mark.sqlite_only("it moves a store of SQLite")

SERVED_BY_NOW = "SELECT count(*) FROM records"


def _snapshot(place: StorePlace) -> Snapshot:
    with closing(read_store(place)) as reader:
        return reader.snapshot()


def test_migrate_creates_the_tables_once(place: Place, empty_database_url: str) -> None:
    place.environment["RUNNER_STORE"] = empty_database_url
    refused = place.run("reload")
    assert refused.returncode == 4
    assert place.run("store", "migrate").stdout == "created the store, version 1\n"
    assert place.run("store", "migrate").stdout == "the store has version 1 already\n"


def test_without_a_database_the_command_asks_for_one(place: Place) -> None:
    done = place.run("store", "copy")
    assert done.returncode == 2
    assert "--store-file" in done.stderr


def test_a_copied_store_goes_on_in_postgresql_and_the_source_is_refused(
    place: Place, database_url: str
) -> None:
    place.declare("once", "echo hello", "run_immediately")
    place.declare("long", "until [ -e ../go ]; do sleep 0.1; done", "run_immediately")
    place.start()
    place.await_finished("once")
    place.await_started("long")
    in_use = place.run("store", "copy", "--store-file", str(_file(place, database_url)))
    assert in_use.returncode == 1
    assert "in use by another runner" in in_use.stderr
    assert place.run("stop", "--leave-running").returncode == 0
    before = _snapshot(StorePlace(folder=place.state))
    lines = place.log.read_bytes()

    place.environment["RUNNER_STORE"] = database_url
    copied = place.run("store", "copy")
    assert copied.returncode == 0, copied.stderr
    assert copied.stdout.startswith("copied 2 requests, 1 executions in progress, 1 results and ")
    after = _snapshot(StorePlace(folder=place.state, url=database_url))
    assert (after.requests, after.executions, after.meta) == (
        before.requests,
        before.executions,
        before.meta,
    )
    assert after.mark == before.mark
    assert execute(database_url, SERVED_BY_NOW) == [(lines.count(b"\n"),)]

    url = place.environment.pop("RUNNER_STORE")
    for command in (["start"], ["ls"], ["exec", "once"], ["store", "copy"]):
        refused = place.run(*command)
        assert refused.returncode != 0, command
    assert "was moved to PostgreSQL" in place.run("start").stderr
    place.environment["RUNNER_STORE"] = url
    again = place.run("store", "copy")
    assert again.returncode == 1
    assert "is not empty" in again.stderr
    assert "was moved to PostgreSQL" in _refused(place)

    place.start()
    place.open_gate()
    (finished,) = place.await_finished("long")
    assert finished["status"] == "system_restart"  # adopted: its exit code is unknown
    assert len(place.events("execution.finished", "once")) == 1
    assert place.log.read_bytes().startswith(lines)


def _refused(place: Place) -> str:
    """Return what a SQLite command says now."""
    url = place.environment.pop("RUNNER_STORE")
    try:
        return place.run("start").stderr
    finally:
        place.environment["RUNNER_STORE"] = url


def _file(place: Place, url: str) -> object:
    path = place.folder / "store.url"
    path.write_text(url)
    path.chmod(0o600)
    return path


def test_a_copy_that_fails_leaves_the_source_usable(place: Place, database_url: str) -> None:
    own_store(StorePlace(folder=place.state)).close()
    execute(database_url, "INSERT INTO meta VALUES ('a', 'b')")
    place.environment["RUNNER_STORE"] = database_url
    assert "is not empty" in place.run("store", "copy").stderr
    own_store(StorePlace(folder=place.state)).close()


def test_a_copy_refuses_a_database_in_which_a_node_leads(
    place: Place, database_url: str, tmp_path: object
) -> None:
    own_store(StorePlace(folder=place.state)).close()
    with closing(own_store(StorePlace(folder=place.folder / "other", url=database_url))):
        place.environment["RUNNER_STORE"] = database_url
        done = place.run("store", "copy")
    assert done.returncode == 1
    assert "leads" in done.stderr


@pytest.mark.parametrize("state", ["state", "missing"])
def test_there_must_be_a_store_to_copy(place: Place, database_url: str, state: str) -> None:
    place.environment["RUNNER_STORE"] = database_url
    done = place.run("store", "copy", "--state", str(place.folder / state))
    assert done.returncode == 1
    assert "there is no store" in done.stderr
