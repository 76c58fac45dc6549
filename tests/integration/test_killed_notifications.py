"""Each alert is delivered, with one id, however often the runner is killed meanwhile."""

from __future__ import annotations

import random
import signal
import time
from collections import defaultdict
from collections.abc import Iterator

import pytest
from support.place import Place, wait_until
from support.receiver_world import WebServer, hurry, settings, web_server

REQUESTS = 12
KILLS = 6


@pytest.fixture
def web(place: Place) -> Iterator[WebServer]:
    with web_server() as server:
        place.environment["HOOK"] = server.url
        yield server


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.campaign)])
def test_each_alert_is_delivered_with_one_id_whenever_the_runner_is_killed(
    place: Place, web: WebServer, seed: int
) -> None:
    chance = random.Random(seed)
    hurry(place)
    settings(place, {"chat": {"webhook": {"url_variable": "HOOK"}}})
    for number in range(REQUESTS):
        delay_s = chance.uniform(0, 3)
        place.declare(f"r{number:02}", f"sleep {delay_s:.2f}; exit 3", "run_immediately")
    for _ in range(KILLS):
        web.behaviour = chance.choice([200, 500])
        runner = place.start()
        time.sleep(chance.uniform(0.1, 1.5))  # the moment of the kill is what varies
        place.stop(runner, by=signal.SIGKILL)
    web.behaviour = 200
    runner = place.start()
    names = {f"r{number:02}" for number in range(REQUESTS)}

    def is_everything_recorded() -> bool:
        opened = {record["request"] for record in place.events("alert.opened")}
        sent = {name for each in place.events("notification.sent") for name in each["alerts"]}
        return opened == names and {f"{name}/failure" for name in names} <= sent

    wait_until(is_everything_recorded, within_s=120, what="all alerts")
    assert place.stop(runner) == 0
    ids_of = defaultdict(set)
    for post in web.drained():
        for alert in post.data["alerts"]:
            ids_of[alert["request"], alert["event"]].add(post.headers["Idempotency-Key"])
    assert {name for name, _ in ids_of} == names
    assert {event for _, event in ids_of} == {"opened"}
    assert {len(ids) for ids in ids_of.values()} == {1}
    arrived = [record["notification"] for record in place.events("notification.sent")]
    assert sorted(arrived) == sorted({*arrived}), "each message has one record of its arrival"
