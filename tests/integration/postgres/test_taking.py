"""A worker takes what waits for it, unless it is replaced or asked to drain."""

from __future__ import annotations

from pathlib import Path

from support.worker_world import WorkerWorld, row_for

from runner.store.postgres.worker_side import (
    Delivery,
    WorkerNode,
    ask_to_drain,
    register,
    take,
)
from runner.values import new_id
from runner.worker.deliveries import take_for


def test_a_worker_that_is_to_drain_repeats_a_take_and_takes_nothing_new(
    database_url: str, tmp_path: Path
) -> None:
    world = WorkerWorld(database_url, tmp_path)
    node = WorkerNode(
        name="w", machine="m", boot="b", state_id="s", instance="i", version="0",
        queues=("default",), concurrency=2,
    )  # fmt: skip
    first, second = (
        Delivery(row.id, world.offer_row(row), take_for(number))
        for number, row in enumerate(row_for(new_id(), "true", "default") for _ in range(2))
    )
    with world.connected() as connection:
        register(connection, node, ())
        assert {row.id for row in take(connection, node, (first,)).values()} == {first.execution}
        assert ask_to_drain(connection, "w") == 1
        taken = take(connection, node, (first, second))
    assert {row.id for row in taken.values()} == {first.execution}
    assert world.taker_of(second.execution) is None
