"""What a leader does about the other nodes, and about its own clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from loguru import logger
from support.place import Place
from support.postgres import execute

from runner.errors import LeaseLostError
from runner.service.loop import Runner, running
from runner.service.runner_settings import Settings
from runner.system.clock import SystemClock

JOIN = (
    "INSERT INTO nodes (name, kind, machine, boot, state_id, instance, version)"
    " VALUES ('two', 'start', 'm', 'b', 's2', '{}', '1')"
    " ON CONFLICT (name, kind) DO UPDATE SET instance = excluded.instance,"
    " heartbeat = clock_timestamp()"
)
AWAY = "UPDATE nodes SET heartbeat = clock_timestamp() - interval '31 days' WHERE name = 'two'"


WORKER = (
    "INSERT INTO nodes (name, kind, machine, boot, state_id, instance, version, queues,"
    " concurrency) VALUES ('three', 'work', 'm', 'b', 's3', '{}', '1', '{{default}}', 2)"
    " ON CONFLICT (name, kind) DO UPDATE SET instance = excluded.instance,"
    " heartbeat = clock_timestamp()"
)
SILENT = "UPDATE nodes SET heartbeat = clock_timestamp() - interval '6 min' WHERE name = 'three'"


class OtherClock(SystemClock):
    """The system's clock, but `offset` ahead."""

    def __init__(self, offset: timedelta = timedelta()) -> None:
        super().__init__()
        self.offset = offset
        self.passed_s = 0.0

    def now(self) -> datetime:
        return super().now() + self.offset

    def elapsed_s(self) -> float:
        return super().elapsed_s() + self.passed_s


@contextmanager
def leading(place: Place, url: str, clock: SystemClock) -> Iterator[Runner]:
    made = Settings(jobs=place.jobs, state=place.state, monitor_log=place.log, zone="UTC", url=url)
    with running(made, clock, observer=lambda _: None, node="one") as runner:
        runner.start()
        runner.turn()
        yield runner


def look_again(runner: Runner, clock: OtherClock) -> None:
    """Let the time pass after which the leader looks at the nodes again."""
    clock.passed_s += 3.5
    runner.turn()
    runner.turn()


def test_each_node_that_begins_to_stand_by_is_recorded_once(
    place: Place, database_url: str
) -> None:
    clock = OtherClock()
    with leading(place, database_url, clock) as runner:
        execute(database_url, JOIN.format("first"))
        for _ in range(2):
            look_again(runner, clock)
    with leading(place, database_url, clock) as runner:
        look_again(runner, clock)
        assert [each["node"] for each in place.events("runner.standby")] == ["two"]
        execute(database_url, JOIN.format("second"))
        look_again(runner, clock)
    assert [each["node"] for each in place.events("runner.standby")] == ["two", "two"]
    leads = place.events("runner.leading")
    assert [(each["node"], each["former_node"], each["epoch"]) for each in leads] == [
        ("one", None, 1),
        ("one", "one", 2),
    ]


def test_a_former_leader_that_is_gone_does_not_stand_by(place: Place, database_url: str) -> None:
    clock = OtherClock()
    execute(
        database_url,
        JOIN.format("while it led"),
        "INSERT INTO meta (key, value) VALUES ('leader', 'two')",
    )
    with leading(place, database_url, clock) as runner:
        look_again(runner, clock)
        assert place.events("runner.standby") == []
        execute(database_url, JOIN.format("later"))
        look_again(runner, clock)
    assert [each["node"] for each in place.events("runner.standby")] == ["two"]


def test_each_start_of_a_worker_and_its_loss_are_recorded_once(
    place: Place, database_url: str
) -> None:
    """It is lost only after lost_after of this leader's own; one that leaves in order is not."""
    clock = OtherClock()

    def about_workers() -> list[str]:
        return [each["event"] for each in place.records() if each["event"].startswith("worker.")]

    with leading(place, database_url, clock) as runner:
        execute(database_url, WORKER.format("first"))
        for _ in range(2):
            look_again(runner, clock)
        assert about_workers() == ["worker.joined"]
        execute(database_url, SILENT)
        look_again(runner, clock)
        assert about_workers() == ["worker.joined"]
        clock.passed_s += 300
        for _ in range(2):
            look_again(runner, clock)
        (lost,) = place.events("worker.lost")
        assert (lost["node"], lost["message"]) == ("three", "nothing was heard of it for 5m")
        execute(database_url, WORKER.format("second"))
        look_again(runner, clock)
    with leading(place, database_url, clock) as runner:
        look_again(runner, clock)
        execute(database_url, "DELETE FROM nodes WHERE name = 'three'")
        look_again(runner, clock)
    assert about_workers() == ["worker.joined", "worker.lost", "worker.joined"]
    joined = place.events("worker.joined")[0]
    assert joined["message"] == "version 1, queue default, 2 places"


def test_a_node_that_is_unseen_for_long_is_no_longer_registered(
    place: Place, database_url: str
) -> None:
    clock, warnings = OtherClock(), list[str]()
    handler = logger.add(lambda message: warnings.append(str(message)), level="WARNING")
    try:
        with leading(place, database_url, clock) as runner:
            execute(database_url, JOIN.format("first"), AWAY)
            for _ in range(2):
                look_again(runner, clock)
    finally:
        logger.remove(handler)
    assert [each for each in warnings if "two is no longer registered" in each] == [
        each for each in warnings if "it was last seen 31d ago, so no record is kept" in each
    ]
    assert sum("two is no longer registered" in each for each in warnings) == 1


def test_a_leader_whose_clock_is_wrong_gives_up_the_lease(place: Place, database_url: str) -> None:
    clock = OtherClock()
    with pytest.raises(LeaseLostError, match="s ahead of that of the database"):  # noqa: SIM117
        with leading(place, database_url, clock) as runner:
            clock.offset = timedelta(seconds=61)
            look_again(runner, clock)
    assert execute(database_url, "SELECT expires = '-infinity' FROM lease") == [(True,)]


def test_no_work_is_refused_where_the_runner_executes_everything_itself(place: Place) -> None:
    done = place.run("start", "--no-work")
    assert done.returncode == 2
    assert "--no-work is for a node of a fleet" in done.stderr
