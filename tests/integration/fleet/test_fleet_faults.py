"""Faults of every kind hit a fleet under load. The processes' own ledger is the witness."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest
from support.database_proxy import proxied
from support.fleet import await_same_logs, bring_to_rest, check_fires, leader_of
from support.fleet_faults import FleetUnderFaults
from support.postgres import OwnServer

pytestmark = pytest.mark.timeout(600)

_SEED = int(os.environ.get("RUNNER_FAULTS_SEED", "1"))
_COUNT = int(os.environ.get("RUNNER_FAULTS", "60"))


def _suffer(
    server: OwnServer, folder: Path, faults: Sequence[str] | int, seed: int
) -> dict[str, int]:
    """Let faults happen one after another, bring the fleet to rest, and check everything."""
    random = Random(seed)
    with ExitStack() as stack:
        url = stack.enter_context(server.new_database())
        way = stack.enter_context(proxied(url, folder / "way"))
        fleet = FleetUnderFaults(folder, url, server, way, random)
        stack.callback(fleet.end)
        fleet.start()
        chosen = random.choices([*fleet.faults], k=faults) if isinstance(faults, int) else faults
        for fault in chosen:
            fleet.suffer(fault)
        leader = next(each for each in fleet.nodes if each.name == leader_of(url))
        bring_to_rest(leader)
        records = await_same_logs(fleet.nodes)
    fleet.tick.check(records)
    verdicts = sum(check_fires(records, request) for request in ("tick", "often", "guarded"))
    reasons = Counter(
        f"{each['status']} {each['reason'] or ''}".strip()
        for each in records
        if each["event"] == "execution.finished"
    )
    return {
        "faults": len(chosen),
        "processes": fleet.tick.starts().total(),
        "guarded": fleet.check_guard(),
        "verdicts": verdicts,
        "leaders": sum(each["event"] == "runner.leading" for each in records),
        **reasons,
    }


def test_a_fleet_survives_a_kill_and_lost_connections(
    own_postgres: OwnServer, tmp_path: Path
) -> None:
    faults = ["the end of all its connections", "kill -9 of the leader", "jobs delivered twice"]
    _suffer(own_postgres, tmp_path, faults, seed=0)


@pytest.mark.campaign
@pytest.mark.timeout(7200)
def test_a_fleet_survives_many_faults_of_every_kind(
    own_postgres: OwnServer, tmp_path: Path
) -> None:
    print(json.dumps(_suffer(own_postgres, tmp_path, _COUNT, _SEED)))
