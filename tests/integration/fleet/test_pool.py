"""A connection pool before the database: it is recognised, and used or refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fleet import FleetNode
from support.pgbouncer import PGBOUNCER, pooled
from support.place import SECONDLY
from support.postgres import execute

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(PGBOUNCER is None, reason="needs pgbouncer"),
]
OPTIONS = "options,extra_float_digits"


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_fleet_works_through_a_pool_that_loses_notifications(
    database_url: str, tmp_path: Path, mode: str
) -> None:
    ((database,),) = execute(database_url, "SELECT current_database()")
    execute(database_url, f"ALTER DATABASE {database} SET search_path = runner")
    with pooled(database_url, mode=mode, ignored=OPTIONS) as url:
        node = FleetNode(tmp_path / "one", url)
        other = FleetNode(tmp_path / "two", url, jobs=node.jobs)
        node.declare("tick", "true", SECONDLY)
        node.declare("called", "echo hello; exit 3")
        try:
            node.join()
            node.await_leading()
            node.await_finished("tick", count=3, within_s=60)
            done = other.run("exec", "called")
            assert (done.returncode, done.stdout) == (3, "hello\n"), done.stderr
            assert "connection pool" in other.run("doctor").stdout
            assert "loses notifications" in node.console()
            assert other.run("stop").returncode == 0
        finally:
            node.end_all()
    ((count,),) = execute(database_url, "SELECT count(*) FROM records")
    assert len(node.log.read_text().splitlines()) == count


@pytest.mark.parametrize(
    ("ignored", "words"),
    [(OPTIONS, "drops the settings of a session"), ("", "refuses the settings of a session")],
)
def test_a_pool_that_keeps_no_settings_is_refused(
    empty_database_url: str, tmp_path: Path, ignored: str, words: str
) -> None:
    with pooled(empty_database_url, mode="session", ignored=ignored) as url:
        node = FleetNode(tmp_path / "one", url)
        for command in ("start", "status", "doctor"):
            done = node.run(command)
            assert done.returncode == 1, done
            assert words in done.stdout + done.stderr
            assert "connect to the server directly" in done.stdout + done.stderr
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'runner')"
    assert execute(empty_database_url, tables) == [(0,)]
