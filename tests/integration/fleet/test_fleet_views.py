"""What doctor, the metrics and validate say of a fleet's workers and queues."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.fleet_world import Leader, ScriptedWorker
from support.place import Place
from support.postgres import execute
from support.web_world import WebWorld

from runner.store.rows import Batch

NO_LEADER = "no node leads, so nothing fires"
DAILY = {"schedule": {"frequency": "daily", "at": "02:00"}}


@pytest.fixture
def fleet(place: Place, database_url: str, tmp_path: Path) -> Iterator[Leader]:
    """Provide a leader, a worker for `default` and one for `gpu`, and three offers."""
    place.environment["RUNNER_STORE"] = database_url
    place.declare("usual", "true", DAILY)
    place.declare("trains", "true", DAILY, queue="gpu")
    leader = Leader(database_url, tmp_path / "leader")
    leader.store.commit(Batch(meta={"jobs": str(place.jobs)}))
    leader.claim(count=2)
    leader.claim(queue="gpu")
    for name, queue in (("one", "default"), ("two", "gpu")):
        worker = ScriptedWorker(database_url, name)
        worker.join(worker.take_all(queue)[:1])
        worker.close()
        execute(database_url, f"UPDATE nodes SET queues = '{{{queue}}}' WHERE name = '{name}'")
    execute(database_url, "UPDATE lease SET expires = 'infinity'")  # no loop renews it
    yield leader
    leader.close()


def findings(place: Place, check: str) -> list[tuple[str, str]]:
    """Return level and message of doctor's findings of a check."""
    lines = place.run("doctor", "--output", "json").stdout.splitlines()
    items: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [(each["level"], each["message"]) for each in items if each["check"] == check]


def series(place: Place) -> dict[tuple[str, str], float]:
    """Return the metrics of the fleet by name and label."""
    done = place.run("metrics")
    assert done.returncode == 0, done.stderr
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(done.stdout)
        for sample in family.samples
        if family.name.startswith(("runner_fleet", "runner_worker", "runner_queue"))
        or "dropped" in family.name
    }


def test_metrics_show_the_workers_and_the_queues(place: Place, fleet: Leader) -> None:
    found = series(place)
    ages = [found.pop(("runner_worker_heartbeat_age_seconds", name)) for name in ("one", "two")]
    assert all(0 <= age < 60 for age in ages)
    assert found == {
        ("runner_fleet_has_leader", ""): 1,
        ("runner_fleet_standbys", ""): 0,
        ("runner_worker_executions", "one"): 1,
        ("runner_worker_executions", "two"): 1,
        ("runner_worker_concurrency", "one"): 4,
        ("runner_worker_concurrency", "two"): 4,
        ("runner_queue_waiting", "default"): 2,
        ("runner_queue_waiting", "gpu"): 1,
        ("runner_queue_workers", "default"): 1,
        ("runner_queue_workers", "gpu"): 1,
        ("runner_dropped_reports_total", ""): 0,
    }


def test_the_page_shows_the_leader_and_the_workers(
    place: Place, fleet: Leader, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNER_STORE", database_url)
    page = WebWorld(place).browser("maria").get("/").text
    words = " ".join(re.sub("<[^>]*>", " ", page).split())
    assert f"leader {socket.gethostname()}" in words
    assert "worker one: 1 of 4 executions; queue default" in words
    assert "worker two: 1 of 4 executions; queue gpu" in words


def test_what_no_worker_has_taken_waits_and_what_one_has_taken_runs(
    place: Place, fleet: Leader, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = place.items("status")[0]["running"]
    (offered,) = fleet.claim(queue="reports")
    (status,) = place.items("status")
    assert [each["execution"] for each in status["waiting"]] == [offered]
    assert status["running"] == taken
    assert len(taken) == 3
    assert status["waiting"][0].keys() == status["running"][0].keys()

    lines = place.run("status").stdout.splitlines()
    assert "running   3" in lines
    heading, row = lines[lines.index("waiting   1") + 1 :][:2]
    assert heading.endswith("WAITS FOR")
    assert row.endswith("a worker of queue reports")
    assert offered in row
    assert place.run("monitor", "--status", "processing").stdout == ""

    monkeypatch.setenv("RUNNER_STORE", database_url)
    page = WebWorld(place).browser("maria").get("/").text
    assert "and 1 waiting" in page


def test_doctor_names_a_queue_that_no_live_worker_serves(
    place: Place, fleet: Leader, database_url: str
) -> None:
    definitions = {
        name: json.dumps({"data": {"process": process}})
        for name, process in (("usual", {"shell": "x"}), ("trains", {"queue": "gpu"}))
    }
    for name, definition in definitions.items():
        execute(
            database_url,
            "INSERT INTO requests (name, file, generation, state)"
            f" VALUES ('{name}', '{name}.yaml', 1, '{{}}')",
            f"INSERT INTO definitions VALUES ('{name}', '{definition}')",
        )
    assert findings(place, "queue") == [
        ("ok", "1 live worker for the queue default"),
        ("ok", "1 live worker for the queue gpu"),
    ]
    execute(
        database_url,
        "UPDATE nodes SET heartbeat = now() - interval '1 minute' WHERE name = 'two'",
    )
    assert ("problem", "no live worker serves the queue gpu of trains") in findings(place, "queue")


def test_doctor_names_the_drained_workers_of_a_queue(
    place: Place, fleet: Leader, database_url: str
) -> None:
    definition = json.dumps({"data": {"process": {"queue": "gpu"}}})
    execute(
        database_url,
        "INSERT INTO requests (name, file, generation, state)"
        " VALUES ('trains', 'trains.yaml', 1, '{}')",
        f"INSERT INTO definitions VALUES ('trains', '{definition}')",
        "UPDATE nodes SET is_draining = true WHERE name = 'two'",
    )
    lines = place.run("doctor", "--output", "json").stdout.splitlines()
    hints = [each["suggestion"] for each in map(json.loads, lines) if each["check"] == "queue"]
    restart = "`runner restart` there lets it take again"
    assert hints == [f"two serves it, but is drained: {restart}"]


def test_doctor_says_that_a_fleet_which_has_served_has_no_leader(
    place: Place, fleet: Leader, database_url: str
) -> None:
    fleet.store.commit(Batch(meta={"leader": "one"}))
    assert [level for level, _ in findings(place, "fleet")][-1:] == ["ok"]
    execute(database_url, "UPDATE lease SET expires = '-infinity'")
    assert ("problem", f"{NO_LEADER}; the last leader was one") in findings(place, "fleet")
    execute(database_url, "DELETE FROM meta WHERE key = 'leader'")
    assert ("advice", NO_LEADER) in findings(place, "fleet"), "no node has served it yet"


def test_validate_has_no_caution_about_queues_in_a_fleet(place: Place, fleet: Leader) -> None:
    assert place.run("validate").stdout == ""


def test_doctor_notices_a_fleet_that_serves_other_requests_than_the_folder_has(
    place: Place, fleet: Leader, database_url: str
) -> None:
    def serve(*names: str) -> list[tuple[str, str]]:
        execute(database_url, "DELETE FROM requests")
        for name in names:
            execute(
                database_url,
                "INSERT INTO requests (name, file, generation, state)"
                f" VALUES ('{name}', '{name}.yaml', 1, '{{}}')",
            )
        return [found for found in findings(place, "fleet") if found[0] != "ok"]

    assert serve("usual", "trains") == []
    assert serve("usual", "newer") == [
        ("advice", f"{place.jobs} differs from what the fleet serves: newer, trains")
    ]
    assert serve("alien") == [
        (
            "problem",
            f"the fleet serves other requests (alien) than those in {place.jobs}, which never run",
        )
    ]


def test_doctor_says_once_that_the_database_cannot_be_reached(place: Place) -> None:
    place.environment["RUNNER_STORE"] = "postgresql://me@/x?host=/nonexistent"
    assert findings(place, "runner") == [
        ("warning", "it is unknown whether a node leads: the store cannot be reached")
    ]
    assert findings(place, "fleet") == []
    ((level, message),) = findings(place, "store")
    assert level == "problem"
    assert "cannot be reached" in message
