"""The shipped unit file: systemd accepts it, and it keeps the runner's guarantees."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

import runner
from runner.values import parse_duration

UNIT = Path(runner.__file__).parent / "packaging" / "runner.service"


def service() -> dict[str, list[str]]:
    """Return the settings of the runner's unit."""
    return settings_of(UNIT)


def settings_of(unit: Path) -> dict[str, list[str]]:
    """Return the settings of [Service], each with its values in order."""
    settings = defaultdict(list)
    section = ""
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif line and not line.startswith("#") and section == "[Service]":
            name, _, value = line.partition("=")
            settings[name].append(value)
    return settings


def test_only_the_runner_notifies_systemd_and_systemd_leaves_its_processes_alone() -> None:
    reported = service()
    assert reported["Type"] == ["notify"] and reported["NotifyAccess"] == ["main"]
    assert reported["KillMode"] == ["process"], (
        "any other mode kills the processes that the next runner should adopt"
    )
    assert reported["Delegate"] and reported["DelegateSubgroup"] == ["runner"]
    assert "PrivateTmp" not in reported
    assert all(len(values) == 1 for values in reported.values())


def test_the_stop_timeout_leaves_time_for_an_orderly_stop() -> None:
    (start,) = service()["ExecStart"]
    drain_s = parse_duration(start.partition("--drain ")[2].split()[0]).total_seconds()
    grace_s = 10.0  # the default of stop_grace
    assert float(service()["TimeoutStopSec"][0]) > drain_s + grace_s


def test_a_worker_restricts_processes_as_the_runner_does() -> None:
    worker = settings_of(UNIT.with_name("runner-worker.service"))
    of_runner = {"Type", "NotifyAccess", "ExecStart", "ExecReload", "TimeoutStartSec"}
    expected = {name: values for name, values in service().items() if name not in of_runner}
    assert worker.pop("Type") == ["notify"]
    del worker["ExecStart"], worker["Environment"]
    assert worker == expected


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("unit", sorted(UNIT.parent.glob("*.service")), ids=lambda path: path.stem)
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path, unit: Path) -> None:
    here = tmp_path / unit.name
    here.write_text(
        unit.read_text().replace("ExecStart=runner", f"ExecStart={sys.executable} -m runner")
    )
    command = ["systemd-analyze", "verify", "--man=no", str(here)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    # An older systemd ignores settings that it does not know. Warnings about other units
    # of the machine do not matter.
    found = [
        line
        for line in done.stderr.splitlines()
        if str(here) in line and "DelegateSubgroup" not in line
    ]
    assert (done.returncode, found) == (0, [])
