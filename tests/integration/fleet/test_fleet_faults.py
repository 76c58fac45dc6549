"""Faults of every kind hit a fleet under load. The processes' own ledger is the witness."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from random import Random

import pytest
from support.database_proxy import proxied
from support.fleet import await_same_logs, bring_to_rest, check_fires, ends
from support.fleet_faults import FIRED, FleetUnderFaults
from support.fleet_marked_faults import POINTS, MarkedFaults, fault_of
from support.postgres import OwnServer

pytestmark = pytest.mark.timeout(600)

_SEED = int(os.environ.get("RUNNER_FAULTS_SEED", "1"))
_COUNT = int(os.environ.get("RUNNER_FAULTS", "60"))


def _suffer(
    server: OwnServer, folder: Path, seed: int, faults: Sequence[str] | int, *, is_marked: bool
) -> dict[str, object]:
    """Let faults happen one after another, bring the fleet to rest, and check everything.

    Of a number of faults, all kinds take turns in a random order. With `is_marked` there
    are faults at marked points, too.
    """
    random = Random(seed)
    with ExitStack() as stack:
        url = stack.enter_context(server.new_database())
        way = stack.enter_context(proxied(url, folder / "way"))
        fleet = FleetUnderFaults(folder, url, server, way, random)
        if is_marked:
            marked = MarkedFaults(fleet, folder / "orders")
            fleet.faults |= marked.faults
        if isinstance(faults, int):
            faults = _chosen([*fleet.faults], faults, random)
        stack.callback(fleet.end)
        fleet.start()
        for number, fault in enumerate(faults):
            print(f"{datetime.now(UTC):%H:%M:%S} {number}: {fault}", flush=True)
            fleet.suffer(fault)
        leader = fleet.nodes[fleet.leader()]
        bring_to_rest(leader)
        records = await_same_logs(fleet.nodes)
        fleet.tick.check(records)
        fleet.check_guards()
        commands = fleet.check_commands(records)
    figures: dict[str, object] = {
        "faults": len(faults),
        "processes": fleet.tick.starts().total(),
        "guarded": sum(each["status"] != "misfired" for each in ends(records, "guarded")),
        "commands": commands,
        "verdicts": sum(check_fires(records, request) for request in FIRED),
        "leaders": sum(each["event"] == "runner.leading" for each in records),
        "ends": Counter(
            f"{each['status']} {each['reason'] or ''}".strip()
            for each in records
            if each["event"] == "execution.finished"
        ),
    }
    return figures | (marked.figures if is_marked else {})


def _chosen(kinds: Sequence[str], count: int, random: Random) -> list[str]:
    rounds = [random.sample(kinds, len(kinds)) for _ in range(-(-count // len(kinds)))]
    return [fault for each in rounds for fault in each][:count]


def test_every_marked_point_of_a_fleet_names_a_function_of_the_program() -> None:
    # A campaign only reports an unreached point, so it would not notice a renamed function.
    for point in chain(*POINTS.values()):
        owner, name = point.place()
        assert callable(getattr(owner, name)), point


def test_a_fleet_survives_a_kill_and_lost_connections(
    own_postgres: OwnServer, tmp_path: Path
) -> None:
    faults = ["the end of all its connections", "kill -9 of the leader", "jobs delivered twice"]
    _suffer(own_postgres, tmp_path, 0, faults, is_marked=False)


@pytest.mark.campaign
@pytest.mark.timeout(7200)
def test_a_fleet_survives_many_faults_of_every_kind(
    own_postgres: OwnServer, tmp_path: Path
) -> None:
    print(json.dumps(_suffer(own_postgres, tmp_path, _SEED, _COUNT, is_marked=True)))


@pytest.mark.campaign
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("who", POINTS)
def test_a_fleet_survives_a_death_at_every_marked_point(
    own_postgres: OwnServer, tmp_path: Path, who: str
) -> None:
    faults = [fault_of(who)] * len(POINTS[who])
    print(json.dumps(_suffer(own_postgres, tmp_path, _SEED, faults, is_marked=True)))
