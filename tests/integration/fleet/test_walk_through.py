"""A fleet of three nodes on one machine, and what may happen to it on one day."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from support.fleet import (
    FleetNode,
    Ledger,
    await_same_logs,
    bring_to_rest,
    check_fires,
    leader_of,
    worker_of,
)
from support.place import SECONDLY, wait_until
from support.postgres import OwnServer, execute

pytestmark = pytest.mark.timeout(600)

_ALL_ROLES = ["leader", "standby", "standby", "worker", "worker", "worker"]


def test_three_nodes_survive_the_loss_of_leader_worker_and_database(
    own_postgres: OwnServer, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "ledger")
    with own_postgres.new_database() as url:
        first = FleetNode(tmp_path / "one", url)
        nodes = [
            first,
            *(FleetNode(tmp_path / name, url, jobs=first.jobs) for name in ("two", "three")),
        ]
        first.declare("tick", ledger.shell, SECONDLY)
        try:
            _walk_through(nodes, ledger, own_postgres)
        finally:
            for node in nodes:
                node.end_all()
        records = await_same_logs([first])
        whole = first.log.read_text()
        assert all(whole.startswith(node.log.read_text()) for node in nodes)
        ledger.check(records)
        check_fires(records, "tick")


def _walk_through(nodes: list[FleetNode], ledger: Ledger, server: OwnServer) -> None:
    first, url = nodes[0], nodes[0].url
    processes = {id(node): node.join() for node in nodes}
    ticks = _more_ticks(ledger, 0)
    assert leader_of(url) == first.name

    # Every node knows the whole fleet, and takes commands.
    wait_until(lambda: _roles(nodes[1]) == _ALL_ROLES, within_s=60, what="six nodes in status")
    for node in nodes:
        assert "tick" in node.run("monitor", "-n", "3").stdout
        assert node.run("log", "tick").returncode == 0
    assert nodes[2].run("pause", "--reason", "a look").returncode == 0
    assert nodes[1].run("resume").returncode == 0

    # The leader dies. Another node leads.
    processes[id(first)].kill()
    processes[id(first)].wait()
    wait_until(lambda: leader_of(url) not in (first.name, None), within_s=60, what="a leader")
    ticks = _more_ticks(ledger, ticks)
    processes[id(first)] = first.join()

    # A worker dies. The runner beside it starts it again.
    second = processes[id(nodes[1])]
    worker = wait_until(lambda: worker_of(second), what="a worker")
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: worker_of(second) not in (worker, None), within_s=60, what="a new worker")
    ticks = _more_ticks(ledger, ticks)

    # The database restarts. Nothing fires meanwhile, and everything goes on afterwards.
    server.stop()
    server.start()
    ticks = _more_ticks(ledger, ticks)

    # A node is drained: its worker finishes, and takes nothing new.
    drained = nodes[2].name
    assert first.run("drain", drained).returncode == 0
    is_idle = (
        "SELECT is_draining AND cardinality(executions) = 0 FROM nodes"
        f" WHERE kind = 'work' AND name = '{drained}'"
    )
    wait_until(lambda: execute(url, is_idle) == [(True,)], within_s=60, what="a drained node")
    ((before,),) = execute(url, "SELECT record FROM lease")
    _more_ticks(ledger, ticks)
    later = await_same_logs(nodes)[int(str(before)) :]
    assert drained not in {each.get("node") for each in later if "started" in each["event"]}
    for node in nodes[1:]:
        assert node.stop(processes[id(node)]) == 0
    first.await_leading()
    bring_to_rest(first)


def _roles(node: FleetNode) -> list[str]:
    (status,) = node.items("status")
    return [each["role"] for each in status["nodes"]]


def _more_ticks(ledger: Ledger, before: int) -> int:
    """Wait for some more starts; return how many there are."""

    def more() -> int | None:
        count = ledger.starts().total()
        return count if count >= before + 2 else None

    return wait_until(more, within_s=90, what="more starts")
