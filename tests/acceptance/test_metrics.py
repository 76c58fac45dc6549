"""Metrics, as the command prints them and as the page serves them."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families
from support.place import GATE, ROOT, Place, wait_until
from support.web_world import WebWorld

from runner.web.identity.roles import Role, Scope

DAILY = {"schedule": {"frequency": "daily", "at": "02:00", "start": "2026-01-01 02:00"}}
LABELS = ("request", "status", "reason", "check", "le")
RULES = re.compile(r"```yml\n(groups:.*?)```", re.DOTALL)


@pytest.fixture
def place(place: Place) -> Iterator[Place]:
    finance = {"labels": {"team": "finance"}}
    place.declare("nightly", "true", DAILY, top=finance)
    place.declare("waits", GATE, "run_immediately", top=finance)
    place.declare("works", "true", "run_immediately", top=finance)
    place.declare("fails", "exit 3", "run_immediately")
    place.write("broken.yaml", "name: broken\nprocess: {shell: true}\n")
    runner = place.start()
    wait_until(lambda: place.events("alert.opened", check="failure"))
    wait_until(lambda: place.finished("works"))
    yield place
    place.open_gate()
    assert place.stop(runner) == 0


def values(families: dict[str, Metric], name: str) -> dict[tuple[str, ...], float]:
    """Return the values of a series by its labels."""
    return {
        tuple(sample.labels[each] for each in LABELS if each in sample.labels): sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name == name
    }


def printed(place: Place) -> dict[str, Metric]:
    """Return what the command prints, as Prometheus reads it."""
    done = place.run("metrics")
    assert done.returncode == 0, done.stderr
    return {each.name: each for each in text_string_to_metric_families(done.stdout)}


def test_the_command_counts_what_runs_ran_and_is_wrong(place: Place) -> None:
    wait_until(lambda: place.events("execution.started", "waits"))
    found = printed(place)
    assert values(found, "runner_request_running")["waits",] == 1
    assert values(found, "runner_request_failing") == {
        ("broken",): 0, ("fails",): 1, ("nightly",): 0, ("waits",): 0, ("works",): 0,
    }  # fmt: skip
    assert values(found, "runner_request_next_fire_timestamp_seconds")["nightly",] > time.time()
    assert values(found, "runner_executions_total") == {
        ("fails", "error", "exit_code"): 1, ("works", "success", ""): 1,
    }  # fmt: skip
    assert values(found, "runner_request_last_success_timestamp_seconds").keys() == {("works",)}
    assert values(found, "runner_alerts_open")["failure",] == 1
    assert values(found, "runner_rejected_files") == {(): 1}
    assert values(found, "runner_config_last_reload_successful") == {(): 0}
    assert values(found, "runner_config_last_reload_timestamp_seconds")[()] > time.time() - 3600
    assert values(found, "runner_execution_duration_seconds_count") == {(): 2}
    assert values(found, "runner_lateness_seconds_bucket")["+Inf",] == 2
    names = {label for each in found.values() for sample in each.samples for label in sample.labels}
    of_fleet = {"node", "queue"} if place.is_in_fleet else set()
    assert names == {*LABELS} | of_fleet, "no series for each execution"
    place.open_gate()
    wait_until(lambda: place.finished("waits"))
    counts = values(printed(place), "runner_executions_total")
    assert counts["waits", "success", ""] == 1, "the next call reads what is new"


def test_the_page_serves_them_to_a_token_and_shows_a_scope_only_its_own(place: Place) -> None:
    printed(place)
    world = WebWorld(place)
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    answer = world.program("prometheus").get("/metrics", headers=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    found = {each.name: each for each in openmetrics_families(answer.text)}  # type: ignore[no-untyped-call]
    assert values(found, "runner_executions_total")["fails", "error", "exit_code"] == 1
    finance = Scope(labels=frozenset({"team=finance"}))
    scoped = world.program("finance", Role.VIEWER, finance).get("/metrics")
    assert scoped.headers["content-type"].startswith("text/plain")
    own = {each.name: each for each in text_string_to_metric_families(scoped.text)}
    requests = {key[0] for name in own for key in values(own, name)}
    assert requests <= {"nightly", "waits", "works"}
    assert "fails" not in scoped.text
    assert "runner_rejected_files" not in own
    assert world.stranger().get("/metrics").status_code == 401


def test_without_a_state_folder_that_can_be_written_the_rest_is_still_printed(
    place: Place,
) -> None:
    (place.state / "history.lock").mkdir()
    done = place.run("metrics")
    assert done.returncode == 0
    assert "what ran may be missing or out of date: the history index in" in done.stderr
    assert 'runner_request_failing{request="fails"} 1.0' in done.stdout


def test_the_alert_rules_of_the_documentation_are_about_metrics_that_exist(
    place: Place, tmp_path: Path
) -> None:
    (text,) = RULES.findall((ROOT / "runner" / "README.md").read_text())
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    assert len(rules) >= 5
    assert all(rule.keys() >= {"alert", "expr", "annotations"} for rule in rules)
    used = {name for rule in rules for name in re.findall(r"\brunner_\w+", rule["expr"])}
    families = printed(place).values()
    known = {sample.name for each in families for sample in each.samples}
    assert used <= known, used - known
    if (promtool := shutil.which("promtool")) is not None:
        (tmp_path / "rules.yml").write_text(text)
        done = subprocess.run(
            [promtool, "check", "rules", tmp_path / "rules.yml"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
