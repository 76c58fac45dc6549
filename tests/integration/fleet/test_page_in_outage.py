"""What the page's API answers while the database of a fleet is away."""

from __future__ import annotations

from pathlib import Path

from support.fleet import FleetNode
from support.place import GATE, wait_until
from support.postgres import OwnServer
from support.web_world import WebWorld

from runner.web.identity.roles import Role

PATH = "/api/v1/executions"


def test_without_the_database_the_api_refuses_to_list_what_runs(
    own_postgres: OwnServer, tmp_path: Path
) -> None:
    with own_postgres.new_database() as url:
        node = FleetNode(tmp_path / "node", url)
        node.declare("ends", "true")
        node.declare("runs", GATE, "run_immediately")
        try:
            node.join()
            assert node.run("exec", "ends").returncode == 0
            node.await_started("runs")
            (ended,) = node.await_finished("ends")
            world = WebWorld(node)
            world.index()
            client = world.program("ci", Role.OPERATOR)
            (running,) = client.get(PATH).json()["running"]
            own_postgres.stop()
            try:
                # What was read less than a few seconds ago is still shown.
                away = wait_until(
                    lambda: (found := client.get(PATH)).status_code == 503 and found,
                    what="an answer that the store is away",
                )
                assert away.headers["content-type"] == "application/problem+json"
                assert "cannot be reached" in away.json()["detail"]
                assert client.get(f"{PATH}/{running['execution']}").status_code == 503
                # The history has what ended.
                assert client.get(f"{PATH}/{ended['execution']}").json()["status"] == "success"
            finally:
                own_postgres.start()
            wait_until(lambda: client.get(PATH).status_code == 200, what="the store again")
        finally:
            node.open_gate()
            node.end_all()
