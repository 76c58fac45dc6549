"""Records leave a fleet's store after the longest retention, once every log has them."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import pytest
from support.postgres import execute

from runner.store.postgres.connecting.address import address_of
from runner.store.postgres.connecting.connection import connect
from runner.store.postgres.fleet.registry import prune_records


def _add_node(url: str, name: str, log_seq: int, *, silent: str = "0 days") -> None:
    execute(
        url,
        "INSERT INTO nodes (name, kind, machine, boot, state_id, instance, version, log_seq,"
        f" heartbeat) VALUES ('{name}', 'start', 'm', 'b', '{name}', 'i', '1', {log_seq},"
        f" clock_timestamp() - interval '{silent}')",
    )


@pytest.mark.parametrize(
    ("kept_days", "left"),
    [(100, [1, 2, 3, 4, 5]), (40, [2, 3, 4, 5]), (20, [3, 4, 5]), (5, [4, 5])],
)
def test_records_stay_as_long_as_the_longest_retention_and_until_each_node_has_them(
    database_url: str, kept_days: int, left: list[int]
) -> None:
    for number, age in enumerate((50, 30, 10, 8, 0), 1):
        execute(
            database_url,
            "INSERT INTO records VALUES"
            f" ({number}, 'x', clock_timestamp() - interval '{age} days')",
        )
    # A leader writes no heartbeat for as long as it leads.
    execute(database_url, "UPDATE lease SET state_id = 'leads', expires = 'infinity'")
    _add_node(database_url, "leads", 3, silent="200 days")
    _add_node(database_url, "stands-by", 5)
    _add_node(database_url, "forgotten", 0, silent="31 days")
    with closing(connect(address_of(database_url))) as connection:
        prune_records(connection, timedelta(days=kept_days))
    assert [seq for (seq,) in execute(database_url, "SELECT seq FROM records ORDER BY seq")] == left
