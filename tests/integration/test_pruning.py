"""A runner that runs for months: its memory of removed requests stays bounded."""

from __future__ import annotations

from contextlib import closing

from support.place import Place
from support.runner_inside import GivenClock, started

from runner.planning.states.pruning import KEPT
from runner.service.output_pruning import EVERY_S
from runner.store.opening import read_store


def test_a_runner_prunes_requests_that_were_removed_90_days_ago(place: Place) -> None:
    clock = GivenClock()
    for name in ("stays", "goes"):
        place.declare(
            name, "true", {"schedule": {"frequency": "daily", "at": "02:00", "start": "2100-01-01"}}
        )
    with started(place.jobs, clock, state=place.state) as runner:
        (place.jobs / "goes.yaml").unlink()
        runner._parts.reloader.look_again(at_once=True)
        while "goes" in runner.registry.requests:
            runner.turn()
        clock.go_on(2 * EVERY_S)
        clock.at += KEPT
        runner.turn()
        assert "goes" in runner.registry.states, (
            "not before the clock has gone steadily for an hour"
        )
        clock.go_on(EVERY_S)
        runner.turn()
        assert set(runner.registry.states) == {"stays"}
    with closing(read_store(place.store)) as reader:
        assert [row.name for row in reader.snapshot().requests] == ["stays"]
