"""A worker takes what waits for it, unless it is replaced or asked to drain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg.errors import LockNotAvailable
from support.worker_world import WorkerWorld, row_for

from runner.store.postgres.connecting.connection import Connection
from runner.store.postgres.fleet.worker_side import (
    WorkerNode,
    ask_to_drain,
    holdings,
    is_registered,
    register,
    take,
    token_of,
)
from runner.values import new_id

NODE = WorkerNode(
    name="w", machine="m", boot="b", state_id="s", instance="i", version="0",
    queues=("default", "other"), concurrency=2,
)  # fmt: skip


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> WorkerWorld:
    return WorkerWorld(database_url, tmp_path)


@pytest.fixture
def connection(world: WorkerWorld) -> Iterator[Connection]:
    with world.connected() as connection:
        register(connection, NODE, ())
        yield connection


def test_one_statement_takes_several_in_the_order_of_their_jobs(
    world: WorkerWorld, connection: Connection
) -> None:
    rows = [row_for(new_id(), "true", queue) for queue in ("default", "other", "third", "default")]
    for row in rows:
        world.offer_row(row)
    taken = take(connection, NODE, at_most=2)
    assert (taken.found, taken.jobs) == (2, "/leader/jobs.d")
    assert sorted(row.id for row in taken.rows.values()) == sorted(row.id for row in rows[:2])
    assert {each.take for each in holdings(connection, "w")} == set(taken.rows)
    later = take(connection, NODE, at_most=2)
    assert [row.id for row in later.rows.values()] == [rows[3].id]
    assert max(map(token_of, taken.rows)) < min(map(token_of, later.rows))
    assert later.found == 1


def test_a_withdrawn_or_repeated_job_takes_nothing_and_is_gone(
    world: WorkerWorld, connection: Connection
) -> None:
    withdrawn, twice = row_for(new_id(), "true"), row_for(new_id(), "true")
    for row in (withdrawn, twice):
        world.offer_row(row)
    world.deliver_again(twice.id)
    world.settle(withdrawn.id)
    taken = take(connection, NODE, at_most=8)
    assert taken.found == 3 and [row.id for row in taken.rows.values()] == [twice.id]
    assert take(connection, NODE, at_most=8).found == 0


def test_a_worker_that_is_to_drain_takes_nothing_new(
    world: WorkerWorld, connection: Connection
) -> None:
    first, second = row_for(new_id(), "true"), row_for(new_id(), "true")
    world.offer_row(first)
    assert take(connection, NODE, at_most=1).found == 1
    assert ask_to_drain(connection, "w") == 1
    world.offer_row(second)
    assert take(connection, NODE, at_most=1).found == 0
    assert world.taker_of(second.id) is None
    assert is_registered(connection, NODE)


def test_a_replaced_worker_takes_nothing(world: WorkerWorld, connection: Connection) -> None:
    row = row_for(new_id(), "true")
    world.offer_row(row)
    with world.connected() as other:
        register(other, replace(NODE, instance="another"), ())
    assert take(connection, NODE, at_most=1).found == 0
    assert world.taker_of(row.id) is None
    assert not is_registered(connection, NODE)


def test_the_answer_of_drain_counts_a_take_under_way(
    world: WorkerWorld, connection: Connection
) -> None:
    """So nothing is taken after the answer."""
    world.offer_row(row_for(new_id(), "true"))
    with world.connected() as other:
        other.execute("SET lock_timeout = '50ms'")
        with connection.transaction():
            assert take(connection, NODE, at_most=1).found == 1
            with pytest.raises(LockNotAvailable):
                ask_to_drain(other, "w")
        assert ask_to_drain(other, "w") == 1
