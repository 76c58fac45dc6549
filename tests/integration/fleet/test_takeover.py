"""One node of a fleet leads at a time; another one takes over, and every log is whole."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from support import marked_points
from support.database_proxy import proxied
from support.fleet import (
    FleetNode,
    await_same_logs,
    freeze,
    is_running,
    leader_of,
    thaw,
    worker_of,
    zombies_of,
)
from support.place import GATE, ROOT, SECONDLY, check_log, end_of, wait_until
from support.postgres import OwnServer, execute

from runner import __version__

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def nodes(database_url: str, tmp_path: Path) -> Iterator[list[FleetNode]]:
    """Provide two nodes with one jobs folder; end what they leave running."""
    one = FleetNode(tmp_path / "one", database_url)
    two = FleetNode(tmp_path / "two", database_url, jobs=one.jobs)
    yield [one, two]
    one.end_all()
    two.end_all()


def test_a_standby_takes_over_from_a_leader_that_stops_or_freezes(nodes: list[FleetNode]) -> None:
    one, two = nodes
    one.declare("tick", "true", SECONDLY)
    first = one.join()
    one.await_leading()
    second = two.join()
    one.await_finished("tick", count=2, within_s=60)
    wait_until(lambda: two.finished("tick"), within_s=60, what="the same records")
    assert two.console().splitlines()[0].endswith(f"{two.name} stands by; {one.name} leads")

    # The leader stops in order: no wait for the end of its lease.
    assert one.stop(first) == 0
    two.await_leading()
    (leading,) = wait_until(lambda: two.events("runner.leading", node=two.name))
    assert leading["former_node"] == one.name
    two.await_finished("tick", count=len(two.finished("tick")) + 1, within_s=60)

    # The former leader stands by, and has what it missed.
    first = one.join()
    await_same_logs(nodes)
    wait_until(lambda: two.events("runner.standby", node=one.name), within_s=60, what="a standby")

    # A frozen leader writes nothing more once it thaws, and stands by in the same process.
    freeze(second)
    one.await_leading()
    count = len(one.finished("tick"))
    one.await_finished("tick", count=count + 1, within_s=60)
    thaw(second)
    wait_until(
        lambda: "another node leads now" in two.console(), within_s=90, what="a fenced leader"
    )
    wait_until(lambda: f"{two.name} stands by; {one.name} leads" in two.console(), within_s=60)
    one.await_finished("tick", count=count + 2, within_s=60)
    await_same_logs(nodes)
    assert leader_of(one.url) == one.name

    # Killed in the midst of all that, a node takes its own lease again without a wait.
    first.kill()
    first.wait()
    before = len(one.events("runner.leading", node=one.name))
    first = one.join()
    wait_until(lambda: len(one.events("runner.leading", node=one.name)) == before + 1, within_s=60)
    assert two.stop(second) == 0
    await_same_logs([one])
    assert one.stop(first) == 0
    # A node that was away copies what it missed, before and while it leads.
    two.join()
    two.await_leading()
    await_same_logs([two])


@pytest.mark.campaign
def test_a_leader_without_a_network_is_replaced_and_stands_by_once_it_is_back(
    database_url: str, tmp_path: Path
) -> None:
    with proxied(database_url, tmp_path / "way") as way:
        one = FleetNode(tmp_path / "one", way.url)
        two = FleetNode(tmp_path / "two", database_url, jobs=one.jobs)
        one.declare("tick", "true", SECONDLY)
        try:
            first = one.join()
            one.await_leading()
            two.join()
            one.await_finished("tick", within_s=60)
            way.lose_network()
            two.await_leading()
            two.await_finished("tick", count=len(two.finished("tick")) + 2)
            way.restore_network()
            wait_until(
                lambda: f"{one.name} stands by; {two.name} leads" in one.console(),
                within_s=90,
                what="a former leader that stands by",
            )
            two.await_finished("tick", count=len(two.finished("tick")) + 1, within_s=60)
            await_same_logs([one, two])
            assert one.stop(first) == 0
        finally:
            one.end_all()
            two.end_all()


@pytest.mark.parametrize("is_leader", [True, False], ids=["leader", "standby"])
def test_a_restart_of_a_node_interrupts_no_execution_and_its_worker_takes_at_once(
    nodes: list[FleetNode], *, is_leader: bool
) -> None:
    one, two = nodes
    one.declare("long", f"echo begun; {GATE}; exit 7", "run_immediately", prevent_concurrent=True)
    one.declare("short", "exit 3")
    # So that executions run on one of the nodes.
    process = one.join(*([] if is_leader else ["--no-work"]))
    other = two.join(*(["--no-work"] if is_leader else []))
    node, restarted = (one, process) if is_leader else (two, other)
    wait_until(lambda: one.events("execution.started"), within_s=90, what="a started execution")
    worker = wait_until(lambda: worker_of(restarted), what="a worker")
    for count in (1, 2):
        done = node.run("restart")
        assert done.returncode == 0, done.stderr
        assert one.run("exec", "short").returncode == 3
        assert len(one.await_finished("short", count=count)) == count
    assert not one.finished("long")
    wait_until(
        lambda: node.console().count("this worker restarts") == 2, what="a worker that restarts"
    )
    assert worker_of(restarted) == worker
    leading = [one.name] * (3 if is_leader else 1)
    assert [each["node"] for each in one.events("runner.leading")] == leading
    one.open_gate()
    (finished,) = one.await_finished("long", within_s=90)
    assert (finished["exit_code"], finished["output_tail"]) == (7, "begun\n")
    assert {each["node"] for each in one.events("execution.started")} == {node.name}
    assert len(one.events("execution.started", request="long")) == 1
    wait_until(lambda: not zombies_of(restarted.pid) + zombies_of(worker), what="no zombie")
    assert node.stop(restarted) == 0
    assert not is_running(worker)


def test_exec_waits_through_the_death_of_a_leader_and_an_outage_of_the_database(
    own_postgres: OwnServer, tmp_path: Path
) -> None:
    with own_postgres.new_database() as url:
        one = FleetNode(tmp_path / "one", url)
        two = FleetNode(tmp_path / "two", url, jobs=one.jobs)
        one.declare("long", f"echo begin; {GATE}; echo end; exit 7")
        try:
            leader = one.join("--no-work")
            one.await_leading()
            two.join()
            executing = two.begin("exec", "long")
            two.await_started("long")
            leader.kill()
            leader.wait(timeout=60)
            own_postgres.stop()
            try:
                assert executing.stderr is not None
                assert b"goes on, and this command waits for it" in executing.stderr.readline()
            finally:
                own_postgres.start()
            two.await_leading(within_s=90)
            one.open_gate()
            code, output, errors = end_of(executing)
            assert (code, output, errors) == (7, b"begin\nend\n", "")
        finally:
            one.open_gate()
            one.end_all()
            two.end_all()


def test_a_restart_waits_for_a_program_that_starts_after_its_lease_ran_out(
    database_url: str, tmp_path: Path
) -> None:
    node = FleetNode(tmp_path, database_url)
    try:
        process = node.join("--no-work")
        node.await_leading()
        restarting = node.begin("restart")
        wait_until(
            lambda: execute(
                database_url,
                "UPDATE lease SET expires = '-infinity'"
                " WHERE expires > clock_timestamp() + interval '15 s' RETURNING 1",
            ),
            within_s=60,
            what="the lease that is kept for the next program",
        )
        code, output, errors = end_of(restarting)
        assert (code, output.startswith(b"restarted: runner ")) == (0, True), errors
        assert process.poll() is None
        assert [each["node"] for each in node.events("runner.leading")] == [node.name] * 2
    finally:
        node.end_all()


def test_a_leader_that_loses_its_lease_amid_a_restart_stands_by_in_the_next_program(
    database_url: str, tmp_path: Path
) -> None:
    node, console = FleetNode(tmp_path, database_url), tmp_path / "console"
    point = ("runner.service.loop:Runner._record_stop", "before")
    with console.open("wb") as file:
        process = subprocess.Popen(
            [
                *(sys.executable, marked_points.__file__, *point, "1", str(int(signal.SIGSTOP))),
                *("start", "--no-work"),
            ],
            env=node.environment | {"PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        node.await_leading(within_s=90)
        restarting = node.begin("restart")
        wait_until(lambda: marked_points.is_stopped(process.pid), within_s=60, what="the point")
        other = "node = 'other', state_id = 's', epoch = epoch + 1, expires = 'infinity'"
        execute(database_url, f"UPDATE lease SET {other}")
        process.send_signal(signal.SIGCONT)
        wait_until(
            lambda: "stands by; other leads" in console.read_text(),
            within_s=90,
            what="a standby",
        )
        assert process.poll() is None
        execute(database_url, "UPDATE lease SET expires = '-infinity'")
        wait_until(lambda: len(node.events("runner.leading")) == 2, within_s=90, what="a leader")
        assert "Traceback" not in console.read_text()
    finally:
        process.kill()
        process.wait()
    restarting.terminate()
    end_of(restarting)
    check_log(node.log)


def test_restart_and_stop_mean_the_node_of_the_machine_on_which_they_are_typed(
    nodes: list[FleetNode],
) -> None:
    one, two = nodes
    leader, standby = one.join("--no-work"), two.join("--no-work")
    one.await_leading()
    done = two.run("restart")
    assert (done.returncode, done.stdout) == (
        0,
        f"restarted: {two.name} stands by again; runner {__version__}, process {standby.pid}\n",
    ), done.stderr
    done = two.run("stop")
    assert done.stdout == f"stopped: {two.name}, process {standby.pid}\n", done.stderr
    assert standby.wait(timeout=60) == 0
    assert leader.poll() is None
    assert len(one.events("runner.started")) == 1
    # Where no node runs, the leader is meant.
    assert two.run("restart").stdout.startswith("restarted: runner ")
    assert len(one.events("runner.started")) == 2
    assert two.run("stop").returncode == 0
    assert leader.wait(timeout=60) == 0


def test_a_standby_serves_the_page_of_the_whole_fleet(nodes: list[FleetNode]) -> None:
    one, two = nodes
    one.declare("tick", "true", SECONDLY)
    one.join("--no-work")
    added = two.run("token", "add", "maria")
    header = {"authorization": f"Bearer {added.stdout.strip()}"}
    two.join("--no-work", "--web", "127.0.0.1:0")
    page = re.compile(r"the page is served on (\S+)")
    found = wait_until(lambda: page.search(two.console()), within_s=90, what="a page")
    url = found[1]
    wait_until(lambda: httpx2.get(f"{url}readyz").status_code == 200, within_s=60, what="readyz")
    assert "tick" in httpx2.get(url, headers=header).text
