"""The Containerfile: an image of it, built and run by podman as its comment and
runner/README.md say.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.artefacts import BOUND_S, artefacts, check_row
from support.place import ROOT, wait_until
from support.podman import BASE, NEEDED, Podman, is_possible, podman

from runner.installation import EXTRAS

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.timeout(4 * BOUND_S),
    pytest.mark.skipif(not is_possible(), reason=NEEDED),
]
CONTAINERFILE = ROOT / "runner/packaging/container/Containerfile"
UNPRIVILEGED = """process:
  shell: |
    echo "user $(id -u), capabilities $(grep CapEff /proc/self/status | cut -f 2)"
    touch /opt/file || echo read-only
timing: run_immediately
"""
ORPHANS = """process: {shell: "(sleep 0.2 & sleep 0.3 &) ; echo orphans"}
timing: {schedule: {frequency: secondly, interval: 1}}
"""


@pytest.fixture(scope="module")
def tool() -> Iterator[Podman]:
    with podman() as tool:
        tool.make_base("bookworm", BASE)
        yield tool


def documented(subcommand: str) -> list[str]:
    """Return the options of podman with which the Containerfile says to build or run."""
    lines = CONTAINERFILE.read_text()
    (options,) = re.findall(rf"^# +podman {subcommand} (.+) \w+$", lines, re.MULTILINE)
    return str(options).split()


def records(tool: Podman, event: str) -> list[dict[str, Any]]:
    if tool.code("exec", "one", "test", "-e", "/state/monitor.jsonl"):
        return []
    lines = tool("exec", "one", "cat", "/state/monitor.jsonl").splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
    return [each for each in found if each["event"] == event]


def test_a_container_runs_requests_without_root_and_goes_on_with_its_volume(
    tool: Podman, tmp_path: Path
) -> None:
    wheel = artefacts(tmp_path).wheel
    jobs = tool.folder / "jobs.d"
    jobs.mkdir()
    (jobs / "unprivileged.yaml").write_text(UNPRIVILEGED)
    begun_s = time.monotonic()
    shutil.copy(CONTAINERFILE, tool.folder)
    tool.build(wheel.parent, *documented("build"))
    tool("run", "--detach", "--name", "one", "--network", "none", *documented("run"), "runner")
    (ended,) = wait_until(
        lambda: records(tool, "execution.finished"), within_s=60, what="the request has run"
    )
    check_row("container", time.monotonic() - begun_s)
    assert ended["output_tail"].splitlines()[0] == "user 990, capabilities 0000000000000000"
    assert ended["output_tail"].endswith("read-only\n")
    assert [each["pid"] for each in records(tool, "runner.started")] == [1]
    tool("healthcheck", "run", "one")
    version = tool("exec", "one", "runner", "--version")
    assert f"extras: {', '.join(EXTRAS)}\n" in version

    (jobs / "orphans.yaml").write_text(ORPHANS)
    wait_until(
        lambda: len(records(tool, "execution.finished")) > 3, within_s=60, what="it ran 3 times"
    )
    no_zombie = "! grep -qs 'State:.Z' /proc/[0-9]*/status"
    wait_until(
        lambda: tool.code("exec", "one", "sh", "-c", no_zombie) == 0, what="PID 1 reaps orphans"
    )

    tool("stop", "one")
    assert tool("inspect", "--format", "{{.State.ExitCode}}", "one").strip().endswith("0")
    tool("start", "one")
    started = wait_until(
        lambda: records(tool, "runner.started")[1:], within_s=60, what="it has started again"
    )
    assert [each["pid"] for each in started] == [1]
    assert len(records(tool, "runner.stopped")) == 1
    finished = [each["request"] for each in records(tool, "execution.finished")]
    assert finished.count("unprivileged") == 1, "run_immediately ran again on the same volume"

    tool("kill", "--signal", "KILL", "one")
    tool("wait", "one")
    assert tool.code("run", "--rm", *documented("run"), "runner", "status") == 4
