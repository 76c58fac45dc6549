"""What a runner that stops or is killed lets its worker do."""

from __future__ import annotations

from pathlib import Path

from support.fleet import FleetNode, is_running, worker_of
from support.place import GATE, wait_until


def test_the_worker_beside_a_runner_waits_as_long_as_its_drain_says(
    database_url: str, tmp_path: Path
) -> None:
    node = FleetNode(tmp_path / "node", database_url)
    node.declare("slow", GATE, "run_immediately")
    try:
        runner = node.join("--drain", "0s")
        node.await_started("slow")
        assert node.stop(runner) == 0
        node.join()
        (end,) = node.await_finished("slow", within_s=90)
        assert (end["status"], end["reason"]) == ("killed", "runner_stopped")
    finally:
        node.open_gate()
        node.end_all()


def test_after_a_kill_the_next_worker_waits_for_the_former_one_also_over_a_restart(
    database_url: str, tmp_path: Path
) -> None:
    node = FleetNode(tmp_path / "node", database_url)
    node.declare("long", f"{GATE}; exit 7", "run_immediately")
    try:
        runner = node.join()
        node.await_started("long")
        former = wait_until(lambda: worker_of(runner), what="a worker")
        runner.kill()
        runner.wait()
        runner = node.join()
        waits = "waits for the worker of the former runner"
        wait_until(lambda: waits in node.console(), within_s=90, what="a worker that waits")
        worker = worker_of(runner)
        assert node.run("restart").returncode == 0
        assert is_running(former)
        node.open_gate()
        (end,) = node.await_finished("long", within_s=90)
        assert end["exit_code"] == 7
        wait_until(lambda: not is_running(former), within_s=90, what="the former worker's end")
        wait_until(lambda: "works on queue" in node.console(), within_s=90, what="the next worker")
        assert worker_of(runner) == worker
        assert "it starts again in" not in node.console()
    finally:
        node.open_gate()
        node.end_all()
