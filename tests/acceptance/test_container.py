"""The Containerfile: its instructions, executed in a Debian system without a daemon."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.artefacts import BOUND_S, artefacts, check_row
from support.debian_root import DebianRoot, debian_root, is_possible
from support.place import ROOT, wait_until

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.timeout(3 * BOUND_S),
    pytest.mark.skipif(not is_possible(), reason="this needs root, on a Debian"),
]
CONTAINERFILE = ROOT / "runner/packaging/container/Containerfile"
KNOWN = {
    *("FROM", "COPY", "RUN", "ENV", "USER", "WORKDIR", "VOLUME"),
    *("STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
}


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Containerfile and their arguments."""
    lines = CONTAINERFILE.read_text().splitlines()
    found = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    assert {name for name, _ in found} == KNOWN
    return [(name, words) for name, words in found]


@pytest.fixture
def system(tmp_path: Path) -> Iterator[DebianRoot]:
    folder = tmp_path / "system"
    folder.mkdir()
    with debian_root(folder) as root:
        yield root


def executed(system: DebianRoot, wheel: Path) -> Mapping[str, str]:
    """Execute what builds the image; return what the other instructions say."""
    said: dict[str, str] = {}
    for name, words in instructions():
        if name == "COPY":
            assert words == "*.whl /opt/"
            system.run(f"mv {system.bring(wheel)} /opt/")
        elif name == "RUN":
            system.run(words)
        else:
            said[name] = f"{said[name]} {words}" if name == "ENV" and name in said else words
    return said


def test_a_container_runs_requests_without_root_on_a_read_only_file_system(
    system: DebianRoot, tmp_path: Path
) -> None:
    begun_s = time.monotonic()
    said = executed(system, artefacts(tmp_path).wheel)
    user, group = said["USER"].split(":")
    become = f"setpriv --reuid={user} --regid={group} --clear-groups"
    inside = f"cd {said['WORKDIR']} && exec env {said['ENV']} {become} "
    start = inside + shlex.join(json.loads(said["ENTRYPOINT"]) + json.loads(said["CMD"]))
    health = inside + shlex.join(json.loads(said["HEALTHCHECK"].partition(" CMD ")[2]))
    system.run("echo 'process: {command: [id, -u]}\ntiming: run_immediately' > /jobs.d/id.yaml")
    system.run(f"mount -t tmpfs -o mode=700,uid={user},gid={group} state {said['VOLUME']}")
    system.run("mount -o remount,bind,ro / && ! touch /opt/x 2>/dev/null")
    system.run(f"({health}) || test $? = 4")

    alone = "unshare --pid --fork --kill-child --mount-proc sh -c"
    system.run(
        f"(exec {alone} {shlex.quote(start)}) </dev/null >/tmp/console 2>&1 & echo $! >/tmp/pid"
    )
    finished = wait_until(
        lambda: records(system, "execution.finished"), within_s=60, what="the request has run"
    )
    assert [each["output_tail"] for each in finished] == [f"{user}\n"]
    check_row("container", time.monotonic() - begun_s)
    assert system.run(f"{inside} runner --version").endswith(
        "; extras: alerts, calendars, fleet, web\n"
    )
    pid = system.run("cat /proc/$(cat /tmp/pid)/task/*/children").strip()
    system.run(f"nsenter -t {pid} -p -m -r sh -c {shlex.quote(health)}")
    assert [each["pid"] for each in records(system, "runner.started")] == [1]

    system.run(f"kill -{said['STOPSIGNAL'].removeprefix('SIG')} {pid}")
    system.run(f"tail --pid {pid} -f /dev/null")
    assert len(records(system, "runner.stopped")) == 1


def records(system: DebianRoot, event: str) -> list[dict[str, Any]]:
    lines = system.run("cat /state/monitor.jsonl 2>/dev/null || true").splitlines()
    found = [json.loads(line) for line in lines if line.endswith("}")]
    return [each for each in found if each["event"] == event]
