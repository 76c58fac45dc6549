"""Outputs in a fleet: any node shows what any worker wrote."""

from __future__ import annotations

import json
from pathlib import Path

from support.fleet import FleetNode
from support.place import GATE, end_of


def test_another_node_shows_and_follows_the_outputs_of_executions_and_groups(
    database_url: str, tmp_path: Path
) -> None:
    leader = FleetNode(tmp_path / "one", database_url)
    leader.declare("plain", "echo plain; exit 3")
    leader.declare("follows", f"echo begin; {GATE}; echo end")
    members = [{"name": name, "shell": f"echo {name}"} for name in ("first", "second")]
    leader.write("both.yaml", json.dumps({"process": {"group": {"members": members}}}))
    other = FleetNode(tmp_path / "two", database_url, jobs=leader.jobs)
    try:
        leader.join()
        done = other.run("exec", "plain")
        assert (done.returncode, done.stdout) == (3, "plain\n"), done
        assert other.run("exec", "both").stdout == "first\nsecond\n"
        executing = other.begin("exec", "follows")
        leader.await_started("follows")
        following = leader.begin("log", "follows", "--follow")
        leader.open_gate()
        for each in (following, executing):
            assert end_of(each)[:2] == (0, b"begin\nend\n")
        for request, output in (("plain", "plain\n"), ("both", "first\nsecond\n")):
            done = leader.run("log", request)
            assert (done.returncode, done.stdout) == (0, output), done
    finally:
        leader.open_gate()
        leader.end_all()
