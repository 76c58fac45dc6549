"""The Debian package on a Debian whose PID 1 is systemd: installed, reloaded, hung, upgraded
while an execution runs, stopped, removed and purged; its worker, in a fleet; and the same
unit with an environment of pip.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.artefacts import BOUND_S, artefacts, check_row, lines_of, run
from support.place import wait_until
from support.podman import BASE, NEEDED, Podman, is_possible, podman

from runner import __version__
from runner.installation import EXTRAS

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.timeout(4 * BOUND_S),
    pytest.mark.skipif(not is_possible(), reason=NEEDED),
]
SAMPLE = Path(__file__).parent / "samples/store-version-1.sql"
PACKAGES = ("systemd", "dbus", "python3", "procps", "logrotate", "man-db", "bash-completion")
JOBS = "/etc/runner/jobs.d"
FOLDERS = "STATE_DIRECTORY=/var/lib/runner LOGS_DIRECTORY=/var/log/runner"
AS_RUNNER = f"runuser -u runner -- env {FOLDERS}"
DROP_INS = "/run/systemd/system/runner.service.d"
HELLO = """process: {shell: "touch /usr/file; grep CapEff /proc/self/status"}
timing: run_immediately
"""
UNTIL_FILE = """process: {{shell: "until [ -e /tmp/{name} ]; do sleep 0.1; done; exit {code}"}}
timing: run_immediately
"""


class System:
    """The container."""

    def __init__(
        self, tool: Podman, image: str, *, network: Sequence[str] = ("--network", "none")
    ) -> None:
        self._tool = tool
        self.log = "/var/log/runner/monitor.jsonl"
        # As on a machine, systemd makes the namespaces that the hardened units ask for.
        rights = ["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"]
        own = [*network, "--systemd", "always", *rights]
        tool("run", "--detach", "--name", "system", *own, image, "/lib/systemd/systemd")
        self.eventually("systemctl is-system-running")

    def run(self, line: str) -> str:
        """Run a shell line as root; return its output."""
        return self._tool("exec", "system", "sh", "-ec", line)

    def eventually(self, line: str) -> None:
        """Wait until a shell line succeeds."""
        wait_until(
            lambda: self._tool.code("exec", "system", "sh", "-ec", line) == 0,
            within_s=600,
            what=line,
        )

    def bring(self, file: Path, path: str) -> None:
        """Copy a file of the machine into the system."""
        self._tool("cp", str(file), f"system:{path}")

    def request(self, name: str, content: str) -> None:
        """Write a request."""
        file = self._tool.folder / name
        file.write_text(content)
        self.bring(file, f"{JOBS}/{name}.yaml")

    def main_pid(self, unit: str = "runner") -> int:
        """Return the process of a service; 0 while there is none."""
        return int(self.run(f"systemctl show --value --property MainPID {unit}"))

    def await_main_pid(self, *, other_than: int) -> int:
        """Wait until the service has started again; return its process."""
        self.eventually(
            f'p=$(systemctl show --value --property MainPID runner); [ "$p" != 0 ]'
            f' && [ "$p" != {other_than} ] && systemctl -q is-active runner'
        )
        return self.main_pid()

    def await_finished(self, request: str) -> dict[str, Any]:
        """Wait until an execution has ended; return its record."""

        def found() -> dict[str, Any] | None:
            lines = self.run(f"cat {self.log} || true").splitlines()
            records = [json.loads(line) for line in lines if line.startswith("{")]
            ended = [each for each in records if each["event"] == "execution.finished"]
            return next((each for each in ended if each["request"] == request), None)

        return wait_until(found, within_s=600, what=f"{request} has ended")

    def begin(self, name: str, *, code: int) -> None:
        """Begin an execution that goes on until `end`."""
        self.request(name, UNTIL_FILE.format(name=name, code=code))
        self.eventually(f"pgrep -u runner -f '^/bin/sh -c until .*/tmp/{name} '")

    def end(self, name: str) -> dict[str, Any]:
        """Let an execution end; return its record."""
        self.run(f"touch /tmp/{name}")
        return self.await_finished(name)


@pytest.fixture(scope="module")
def tool() -> Iterator[Podman]:
    """Provide an image `with-systemd`."""
    with podman() as tool:
        tool.make_base("bookworm", BASE)
        tool.add_packages(BASE, "with-systemd", *PACKAGES)
        yield tool


@pytest.fixture
def booted(tool: Podman) -> Iterator[Callable[..., System]]:
    """Boot the only system of a test."""
    yield partial(System, tool)
    tool("rm", "--force", "--time", "0", "system")


@pytest.fixture
def fleet_system(tool: Podman, booted: Callable[..., System]) -> System:
    """Provide a system with PostgreSQL and a database for the store."""
    tool.add_packages("with-systemd", "with-postgresql", "postgresql")
    system = booted("with-postgresql")
    system.eventually("runuser -u postgres -- psql -c 'SELECT 1'")
    for statement in (
        "CREATE ROLE runner LOGIN PASSWORD 's3cret'",
        "CREATE DATABASE runner OWNER runner",
    ):
        system.run(f'runuser -u postgres -- psql -c "{statement}"')
    return system


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
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", "content", "next.deb", cwd=folder)
    return folder / "next.deb"


def test_the_package_is_installed_upgraded_removed_and_purged(
    booted: Callable[..., System], package: Path, tmp_path: Path
) -> None:
    system = booted("with-systemd")
    dpkg = "dpkg --force-unsafe-io"
    _, install, add_requests, start = lines_of("Debian package")
    begun_s = time.monotonic()
    system.bring(package, f"/{package.name}")
    system.run(install)
    version, installed = system.run("runner --version").splitlines()
    assert version == f"runner {__version__}"
    assert installed == (
        "installed by a package of the system in /usr/lib/yaml-job-runner; "
        f"extras: {', '.join(EXTRAS)}"
    )
    assert system.run("stat -c '%U %G %a %n' /var/lib/runner /var/log/runner").splitlines() == [
        "runner runner 700 /var/lib/runner",
        "runner runner 750 /var/log/runner",
    ]
    system.run("bash -c '. /usr/share/bash-completion/completions/runner'")
    system.run("man -w runner runner-start runner-web")
    system.run("systemd-analyze verify runner.service runner-web.service runner-worker.service")

    # A store of version 1, and a first execution, as restricted as the unit says.
    sql = tmp_path / "store.sql"
    sql.write_text(SAMPLE.read_text().replace("{folder}", "/etc/runner"))
    system.bring(sql, "/tmp/store.sql")
    store = "sqlite3.connect('/var/lib/runner/store.sqlite3')"
    write = f"import sqlite3; {store}.executescript(open('/tmp/store.sql').read())"
    system.run(f'umask 077; {AS_RUNNER} python3 -c "{write}"')
    system.request("hello", HELLO)
    system.run(add_requests)
    system.run(start)
    assert system.await_finished("welcome")["status"] == "success"
    check_row("Debian package", time.monotonic() - begun_s)
    system.run("systemctl enable --now runner-web")
    hello = system.await_finished("hello")
    assert hello["status"] == "success"
    assert "Read-only file system" in hello["output_tail"]
    assert hello["output_tail"].endswith("CapEff:\t0000000000000000\n")
    system.run("systemctl is-active runner runner-web")

    # Reload.
    started = system.main_pid()
    system.run("systemctl reload runner")
    assert system.main_pid() == started

    # The watchdog restarts a runner that hangs; its execution goes on.
    system.run(
        f"mkdir -p {DROP_INS}; printf '[Service]\\nWatchdogSec=5\\n' > {DROP_INS}/watchdog.conf"
    )
    system.run("systemctl daemon-reload; systemctl restart runner")
    hung = system.main_pid()
    system.begin("slow", code=0)
    system.run(f"kill -STOP {hung}")
    system.await_main_pid(other_than=hung)
    system.run("journalctl -u runner | grep -q 'Watchdog timeout'")
    system.end("slow")
    system.run(f"rm -r {DROP_INS}; systemctl daemon-reload; systemctl restart runner")

    # An upgrade: the new program takes over in the same process, and knows the exit code.
    before = system.main_pid()
    system.begin("upgraded", code=7)
    system.bring(next_revision(package, tmp_path), "/next.deb")
    system.run(f"{dpkg} -i /next.deb")
    assert system.main_pid() == before
    assert system.end("upgraded")["exit_code"] == 7
    system.run("systemctl is-active runner runner-web")

    # A stop waits for executions.
    system.begin("last", code=3)
    system.run("systemctl stop --no-block runner")
    system.eventually("journalctl -u runner | grep -q 'topping: waiting'")
    assert system.end("last")["exit_code"] == 3
    system.eventually("systemctl show --property ActiveState runner | grep -q =inactive")
    system.run("systemctl start runner")
    checked = system.run(f"{AS_RUNNER} runner doctor --jobs {JOBS}")
    assert "/etc/logrotate.d/yaml-job-runner rotates the log by rename" in checked
    assert installed.removeprefix("installed") in checked

    system.run(f"{dpkg} -r yaml-job-runner && test -d /var/lib/runner")
    system.run("! pgrep -u runner")
    system.run("test ! -e /usr/lib/yaml-job-runner && test ! -e /usr/bin/runner")
    system.run(f"{dpkg} -P yaml-job-runner && test -f {JOBS}/hello.yaml")
    system.run("test ! -e /var/lib/runner && test ! -e /var/log/runner")
    system.run("test ! -e /etc/logrotate.d/yaml-job-runner")


def test_a_worker_executes_is_upgraded_and_stops_in_order(
    fleet_system: System, package: Path, tmp_path: Path
) -> None:
    """As runner-worker.service says; the leader stands in for another machine."""
    system, dpkg = fleet_system, "dpkg --force-unsafe-io"
    install, write_url, start = lines_of("Debian package, a fleet")
    begun_s = time.monotonic()
    system.bring(package, f"/{package.name}")
    system.run(install)
    system.run(f"URL=postgresql://runner:s3cret@127.0.0.1/runner; {write_url}")
    system.request("hello", HELLO)
    system.run("install -d -o runner -g runner -m 700 /var/lib/leader")
    system.log = "/var/lib/leader/monitor.jsonl"
    system.run(
        "systemd-run --unit leader --uid runner --setenv RUNNER_STORE_FILE=/etc/runner/store.url"
        f" runner start --no-work --jobs {JOBS} --state /var/lib/leader"
    )
    system.run(start)
    hello = system.await_finished("hello")
    assert hello["status"] == "success"
    check_row("Debian package, a fleet", time.monotonic() - begun_s)
    assert "Read-only file system" in hello["output_tail"]
    assert hello["output_tail"].endswith("CapEff:\t0000000000000000\n")
    system.run("! grep -q s3cret /proc/$(systemctl show --value -p MainPID runner-worker)/cmdline")

    # An upgrade: the new program takes over in the same process, takes, and knows the exit code.
    before = system.main_pid("runner-worker")
    system.begin("upgraded", code=7)
    system.bring(next_revision(package, tmp_path), "/next.deb")
    system.run(f"{dpkg} -i /next.deb")
    assert system.main_pid("runner-worker") == before
    system.request("during", "process: {shell: 'true'}\ntiming: run_immediately\n")
    assert system.await_finished("during")["status"] == "success"
    assert system.end("upgraded")["exit_code"] == 7
    system.run("systemctl is-active runner-worker")

    # A stop waits for executions, and the next start takes what waited.
    system.begin("last", code=3)
    system.run("systemctl stop --no-block runner-worker")
    system.eventually("systemctl show -p ActiveState runner-worker | grep -q =deactivating")
    system.request("after", "process: {shell: 'true'}\ntiming: run_immediately\n")
    assert system.end("last")["exit_code"] == 3
    system.eventually("systemctl show -p ActiveState runner-worker | grep -q =inactive")
    system.run("systemctl show -p Result runner-worker | grep -q =success")
    system.run("systemctl start runner-worker")
    assert system.await_finished("after")["status"] == "success"

    system.run(f"systemctl stop leader && {dpkg} -r yaml-job-runner")
    system.run("! pgrep -u runner")


def test_the_unit_runs_an_environment_of_pip(
    tool: Podman, booted: Callable[..., System], tmp_path: Path
) -> None:
    wheel = artefacts(tmp_path).wheel
    tool.add_packages("with-systemd", "with-venv", "python3-venv", "ca-certificates")
    system = booted("with-venv", network=["--network", "host", *tool.pip_settings()])
    begun_s = time.monotonic()
    system.bring(wheel, f"/{wheel.name}")
    system.run("\n".join([f"WHEEL=/{wheel.name}", *lines_of("pip, systemd")]))
    assert system.await_finished("welcome")["status"] == "success"
    check_row("pip, systemd", time.monotonic() - begun_s)
    said = system.run("runner --version").splitlines()[1]
    assert said.startswith("installed with pip in /opt/runner; extras: none; not installed: ")
    assert said.removeprefix("installed") in system.run(f"{AS_RUNNER} runner doctor --jobs {JOBS}")

    # An upgrade in place: the exit code of what runs is known.
    before = system.main_pid()
    system.begin("upgraded", code=7)
    system.run(f"/opt/runner/bin/pip install -q --no-deps --force-reinstall /{wheel.name}")
    system.run(f"{AS_RUNNER} runner restart --jobs {JOBS}")
    assert system.main_pid() == before
    assert system.end("upgraded")["exit_code"] == 7
