"""Every command works on a machine without a node, or says in a sentence why it does not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from support.fleet import FleetNode
from support.place import GATE, end_of, wait_until

from runner.cli.command_table import COMMANDS

DAILY = {"schedule": {"frequency": "daily", "at": "02:00", "start": "2026-01-01"}}
TESTED_ELSEWHERE = {
    "start": "test_standby",
    "work": "tests/integration/worker/test_worker",
    "web": "test_a_page_without_a_node_shows_what_ran",
}
"""Commands that go on until they are stopped."""
OF_THIS_MACHINE = {
    "calendar": ("ES",),
    "help": ("operating",),
    "import": ("crontab", "crontab"),
    "init": ("new",),
    "schema": (),
    "token": ("list",),
}
"""Commands that have nothing to do with the fleet."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command on the other machine, and a pattern that its output or its error has."""

    command: str
    arguments: tuple[str, ...]
    pattern: str
    code: int = 0


STEPS = (
    Step("validate", (), "2 requests, all valid"),
    Step("plan", (), "no difference"),
    Step("exec", ("daily",), r"^hello\n"),
    Step("log", ("daily",), r"^hello\n"),
    Step("monitor", (), r"success .* daily "),
    Step("monitor", ("--status", "processing"), r"processing .* slow"),
    Step("ls", (), r"daily .* success"),
    Step("show", ("daily",), "last_status +success"),
    Step("next", ("daily",), "daily"),
    Step("status", (), "leader +{leader}"),
    Step("explain", ("daily",), "daily is scheduled"),
    Step("simulate", (), "fires of 1 request"),
    Step("alerts", (), "no alert is open"),
    Step("metrics", (), r'runner_executions_total{{.*request="daily".*}} 1'),
    Step("unschedule", ("daily",), "daily: unscheduled"),
    Step("schedule", ("daily",), "daily: scheduled"),
    Step("reschedule", ("daily",), "daily: rescheduled"),
    Step("pause", ("daily", "--reason", "a test"), "daily: paused"),
    Step("resume", ("daily",), "daily: "),
    Step("backfill", ("daily", "--from", "2026-01-01", "--to", "2026-01-02"), "not known", 1),
    Step("kill", ("slow",), "slow: killing"),
    Step("notify", ("--test", "ops"), "there is no receiver", 2),
    Step("drain", ("nobody",), "there is no worker 'nobody'; the workers are: {leader}", 2),
    Step("store", ("migrate",), "the store has version"),
    Step("reload", (), "nothing changed"),
    Step("doctor", (), r"{leader}", 1),
    Step("restart", (), "restarted: runner"),
    Step("stop", (), "stopped: runner"),
)
"""In an order in which each has something to do. The last one ends the leader."""


def test_each_command_has_been_decided() -> None:
    commands = {*(step.command for step in STEPS), *OF_THIS_MACHINE, *TESTED_ELSEWHERE}
    assert commands == set(COMMANDS)


@pytest.mark.timeout(600)
def test_each_command_acts_on_the_fleet_from_a_machine_without_a_node(
    database_url: str, tmp_path: Path
) -> None:
    leader = FleetNode(tmp_path / "leader", database_url)
    other = FleetNode(tmp_path / "other", database_url)
    for node in (leader, other):
        node.declare("daily", "echo hello", DAILY)
        node.declare("slow", GATE, "run_immediately")
    try:
        leader.join()
        leader.await_leading()
        leader.await_started("slow")
        for step in STEPS:
            done = other.run(step.command, *step.arguments, timeout_s=180)
            assert done.returncode == step.code, (step, done)
            pattern = step.pattern.format(leader=re.escape(leader.name))
            assert re.search(pattern, done.stdout + done.stderr), (step, done)
            assert "Traceback" not in done.stderr, (step, done)
        (other.folder / "crontab").write_text("0 2 * * * true\n")
        for command, arguments in OF_THIS_MACHINE.items():
            done = other.run(command, *arguments, timeout_s=180)
            assert done.returncode < 2, (command, done)  # an import has remarks
    finally:
        leader.open_gate()
        leader.end_all()


@pytest.mark.timeout(600)
def test_a_page_without_a_node_shows_what_ran(database_url: str, tmp_path: Path) -> None:
    leader = FleetNode(tmp_path / "leader", database_url)
    leader.declare("daily", "echo hello", DAILY)
    other = FleetNode(tmp_path / "other", database_url, jobs=leader.jobs)
    socket = tmp_path / "socket"
    try:
        leader.join()
        assert leader.run("exec", "daily").returncode == 0
        page = other.begin("web", "--socket", str(socket))
        wait_until(socket.exists, within_s=60, what="the page's socket")
        transport = httpx2.HTTPTransport(uds=str(socket))
        with httpx2.Client(transport=transport, base_url="http://localhost") as browser:

            def executions() -> list[str]:
                answer = browser.get("/api/v1/executions")
                assert answer.status_code in (200, 503), answer.text  # 503: it is being built
                return [each["id"] for each in answer.json().get("executions", ())]

            wait_until(lambda: len(executions()) == 1, within_s=60, what="what ran before")
            with browser.stream("GET", "/api/v1/events", timeout=60) as events:
                assert leader.run("exec", "daily").returncode == 0
                assert any("execution.finished" in line for line in events.iter_lines())
            wait_until(lambda: len(executions()) == 2, within_s=60, what="what ran meanwhile")
            assert "daily" in browser.get("/executions").text
        page.terminate()
        end_of(page)
    finally:
        leader.end_all()
