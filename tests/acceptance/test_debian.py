"""The Debian package in a Debian system of its own: installed, upgraded while an execution
runs, removed and purged.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.artefacts import BOUND_S, artefacts, check_row, run
from support.debian_root import DebianRoot, debian_root, is_possible
from support.place import ROOT, wait_until

from runner import __version__

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.timeout(3 * BOUND_S),
    pytest.mark.skipif(not is_possible(), reason="this needs root, on a Debian"),
]
SAMPLE = Path(__file__).parent / "samples/store-version-1.sql"
UNIT = ROOT / "runner/packaging/runner.service"
FOLDERS = "STATE_DIRECTORY=/var/lib/runner LOGS_DIRECTORY=/var/log/runner"
AS_RUNNER = f"setpriv --reuid=runner --regid=runner --init-groups env {FOLDERS}"
START = (
    f"(exec {AS_RUNNER} runner start --jobs /etc/runner/jobs.d --drain 30s) "
    "</dev/null >/dev/null 2>>/tmp/console & echo $! >/tmp/pid"
)
"""As the unit starts it."""
HELLO = "process: {command: [echo, hello]}\ntiming: run_immediately\n"
LONG = """process: {shell: "until [ -e /tmp/go ]; do sleep 0.1; done; exit 7"}
timing: run_immediately
"""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[DebianRoot]:
    folder = tmp_path / "system"
    folder.mkdir()
    with debian_root(folder) as root:
        yield root


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefacts(tmp_path_factory.mktemp("dist")).debian_package()


def next_revision(package: Path, folder: Path) -> Path:
    """Return the same package with a higher version."""
    run("dpkg-deb", "-R", package, "content", cwd=folder)
    control = folder / "content/DEBIAN/control"
    version = f"Version: {__version__}"
    assert version in control.read_text()
    control.write_text(control.read_text().replace(version, f"{version}-2"))
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "-b", "content", "next.deb", cwd=folder)
    return folder / "next.deb"


def finished(system: DebianRoot, request: str) -> dict[str, Any] | None:
    lines = system.run("cat /var/log/runner/monitor.jsonl 2>&1 || true").splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{")]
    ended = [each for each in records if each["event"] == "execution.finished"]
    return next((each for each in ended if each["request"] == request), None)


def await_finished(system: DebianRoot, request: str) -> dict[str, Any]:
    return wait_until(lambda: finished(system, request), within_s=60, what=f"{request} has ended")


def test_the_package_is_installed_upgraded_removed_and_purged(
    system: DebianRoot, package: Path, tmp_path: Path
) -> None:
    begun_s = time.monotonic()
    dpkg = "dpkg --force-unsafe-io"
    system.run(f"{dpkg} -i {system.bring(package)}")
    version, installed = system.run("runner --version").splitlines()
    assert version == f"runner {__version__}"
    assert installed == (
        "installed by a package of the system in /usr/lib/yaml-job-runner; "
        "extras: alerts, calendars, fleet, web"
    )
    assert system.run("stat -c '%U %G %a %n' /var/lib/runner /var/log/runner").splitlines() == [
        "runner runner 700 /var/lib/runner",
        "runner runner 750 /var/log/runner",
    ]
    system.run("bash -c '. /usr/share/bash-completion/completions/runner'")
    system.run("man -w runner runner-start runner-web")
    system.run("systemd-analyze verify runner.service runner-web.service")

    # A store of version 1, a first execution, and one that the upgrade finds running.
    store = "/var/lib/runner/store.sqlite3"
    sql = SAMPLE.read_text().replace("{folder}", "/etc/runner")
    write = f"import sqlite3, sys; sqlite3.connect('{store}').executescript(sys.stdin.read())"
    system.run(f'umask 077; {AS_RUNNER} python3 -c "{write}"', content=sql)
    system.write("/etc/runner/jobs.d/hello.yaml", HELLO)
    system.run(START)
    assert await_finished(system, "hello")["status"] == "success"
    check_row("Debian package", time.monotonic() - begun_s)
    system.write("/etc/runner/jobs.d/long.yaml", LONG)
    wait_until(
        lambda: "long" in system.run(f"{AS_RUNNER} runner status --jobs /etc/runner/jobs.d"),
        within_s=60,
        what="long runs",
    )
    system.run(f"{dpkg} -i {system.bring(next_revision(package, tmp_path))}")
    # As `systemctl try-restart` does: the runner waits for the execution as --drain says.
    system.run("kill -TERM $(cat /tmp/pid)")
    wait_until(
        lambda: "topping" in system.run("cat /tmp/console"), within_s=60, what="it is stopping"
    )
    system.run("touch /tmp/go; tail --pid $(cat /tmp/pid) -f /dev/null")
    assert await_finished(system, "long")["exit_code"] == 7
    system.run(START)
    wait_until(
        lambda: system.run("grep -c 'runner .* started' /tmp/console").strip() == "2",
        within_s=60,
        what="the upgraded runner has started",
    )
    checked = system.run(f"{AS_RUNNER} runner doctor --jobs /etc/runner/jobs.d")
    assert "/etc/logrotate.d/yaml-job-runner rotates the log by rename" in checked

    system.run(f"{dpkg} -r yaml-job-runner && test -d /var/lib/runner")
    system.run("test ! -e /usr/lib/yaml-job-runner && test ! -e /usr/bin/runner")
    system.run(f"{dpkg} -P yaml-job-runner && test -f /etc/runner/jobs.d/hello.yaml")
    system.run("test ! -e /var/lib/runner && test ! -e /var/log/runner")
    system.run("test ! -e /etc/logrotate.d/yaml-job-runner")
