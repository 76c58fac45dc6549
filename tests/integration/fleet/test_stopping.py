"""What a runner that stops lets its worker do."""

from __future__ import annotations

from pathlib import Path

from support.fleet import FleetNode
from support.place import GATE


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
