"""The image of the Containerfile, built and run by podman as its comment says; the fleet of
compose.yaml, run by podman-compose as its comment says; and the pod of runner.yaml.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.artefacts import BOUND_S, artefacts, check_row, run
from support.place import ROOT, wait_until
from support.podman import BASE, NEEDED, Podman, is_possible, podman
from support.receiver_world import free_port

from runner.installation import EXTRAS

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.timeout(4 * BOUND_S),
    pytest.mark.skipif(not is_possible(), reason=NEEDED),
]
CONTAINER = ROOT / "runner/packaging/container"
CONTAINERFILE = CONTAINER / "Containerfile"
COMPOSE = CONTAINER / "compose.yaml"
PORT = {"RUNNER_PORT": str(free_port())}
POSTGRESQL = f"""FROM {BASE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql
RUN install -d -o postgres /var/lib/postgresql/data
COPY entrypoint /entrypoint
ENV PATH=/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENTRYPOINT ["/entrypoint"]
"""
ENTRYPOINT = """#!/bin/sh
# Does with Debian's PostgreSQL what the image `postgres` does with these variables.
set -e
data=/var/lib/postgresql/data
as="setpriv --reuid=postgres --regid=postgres --clear-groups"
if [ ! -e $data/PG_VERSION ]; then
    chown postgres:postgres $data
    install -m 600 -o postgres "$POSTGRES_PASSWORD_FILE" /tmp/password
    $as initdb -D $data -U "$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256
    echo "host all all all scram-sha-256" >> $data/pg_hba.conf
    echo "CREATE DATABASE $POSTGRES_USER" | $as postgres --single -D $data postgres
fi
exec $as postgres -D $data -c listen_addresses='*'
"""
UNPRIVILEGED = """process:
  shell: |
    echo "user $(id -u), capabilities $(grep CapEff /proc/self/status | cut -f 2)"
    touch /opt/file || echo read-only
timing: run_immediately
"""
ORPHANS = """process: {shell: "(sleep 0.2 & sleep 0.3 &) ; echo orphans"}
timing: {schedule: {frequency: secondly, interval: 1}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The image `runner` of podman."""

    tool: Podman
    built_s: float
    """How long the build took."""

    def records(self, container: str, event: str) -> list[dict[str, Any]]:
        """Return the records of an event in the log of a container's runner."""
        if self.tool.code("exec", container, "test", "-e", "/state/monitor.jsonl"):
            return []
        lines = self.tool("exec", container, "cat", "/state/monitor.jsonl").splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [each for each in found if each["event"] == event]

    def await_records(self, container: str, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until the log has so many records of an event; return them."""
        return wait_until(
            lambda: len(found := self.records(container, event)) >= count and found,
            within_s=600,
            what=f"{count} records {event} of {container}",
        )


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    wheel = artefacts(tmp_path_factory.mktemp("dist")).wheel
    with podman() as tool:
        tool.make_base("bookworm", BASE)
        clone = tool.folder / CONTAINER.relative_to(ROOT)
        shutil.copytree(CONTAINER, clone)
        begun_s = time.monotonic()
        tool.build(wheel.parent, *documented("build"))
        yield Image(tool=tool, built_s=time.monotonic() - begun_s)


def documented(subcommand: str) -> list[str]:
    """Return the options of podman with which the Containerfile says to build or run."""
    lines = CONTAINERFILE.read_text()
    (options,) = re.findall(rf"^# +podman {subcommand} (.+) \w+$", lines, re.MULTILINE)
    return str(options).split()


def test_a_container_runs_requests_without_root_and_goes_on_with_its_volume(image: Image) -> None:
    tool = image.tool
    jobs = tool.folder / "jobs.d"
    jobs.mkdir()
    (jobs / "unprivileged.yaml").write_text(UNPRIVILEGED)
    begun_s = time.monotonic()
    tool("run", "--detach", "--name", "one", "--network", "none", *documented("run"), "runner")
    (ended,) = image.await_records("one", "execution.finished")
    check_row("container", image.built_s + time.monotonic() - begun_s)
    assert ended["output_tail"].splitlines()[0] == "user 990, capabilities 0000000000000000"
    assert ended["output_tail"].endswith("read-only\n")
    assert [each["pid"] for each in image.records("one", "runner.started")] == [1]
    # On a busy machine a check may take longer than its limit; a container is unhealthy after
    # three of them.
    wait_until(
        lambda: tool.code("healthcheck", "run", "one") == 0, within_s=600, what="it is healthy"
    )
    for command in ("--version", "doctor"):
        said = tool("exec", "one", "runner", command)
        assert f"installed with pip in /opt/runner; extras: {', '.join(EXTRAS)}\n" in said, command

    (jobs / "orphans.yaml").write_text(ORPHANS)
    image.await_records("one", "execution.finished", 4)
    no_zombie = "! grep -qs 'State:.Z' /proc/[0-9]*/status"
    wait_until(
        lambda: tool.code("exec", "one", "sh", "-c", no_zombie) == 0, what="PID 1 reaps orphans"
    )

    tool("stop", "one")
    assert tool("inspect", "--format", "{{.State.ExitCode}}", "one").strip().endswith("0")
    tool("start", "one")
    started = image.await_records("one", "runner.started", 2)
    assert [each["pid"] for each in started] == [1, 1]
    assert len(image.records("one", "runner.stopped")) == 1
    finished = [each["request"] for each in image.records("one", "execution.finished")]
    assert finished.count("unprivileged") == 1, "run_immediately ran again on the same volume"

    tool("kill", "--signal", "KILL", "one")
    tool("wait", "one")
    assert tool.code("run", "--rm", *documented("run"), "runner", "status") == 4


DEPLOYMENT = ROOT / "runner/packaging/kubernetes/runner.yaml"


def playable(requests: dict[str, str]) -> str:
    """Return the manifest of one runner with its requests, as far as podman plays it.

    podman 4.3 knows no service and no `subPath`, and would occupy the port of the host.
    """
    resources = [
        each for each in yaml.safe_load_all(DEPLOYMENT.read_text()) if each["kind"] != "Service"
    ]
    (deployment,) = (each for each in resources if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    del container["ports"]
    mounts = container["volumeMounts"]
    container["volumeMounts"] = [mount for mount in mounts if "subPath" not in mount]
    container["image"] = "localhost/runner"
    metadata = {"name": "runner-jobs"}
    jobs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": requests}
    return str(yaml.safe_dump_all([*resources, jobs]))


def test_the_pod_of_the_deployment_runs_the_requests_of_a_config_map(image: Image) -> None:
    """The pod with its volumes and rights; its probes and its page need a cluster."""
    tool = image.tool
    manifest = tool.folder / "played.yaml"
    manifest.write_text(playable({"unprivileged.yaml": UNPRIVILEGED}))
    begun_s = time.monotonic()
    tool("play", "kube", "--network", "none", manifest)
    (ended,) = image.await_records("runner-pod-0-runner", "execution.finished")
    check_row("Kubernetes, one pod", image.built_s + time.monotonic() - begun_s)
    assert ended["output_tail"].splitlines()[0] == "user 990, capabilities 0000000000000000"
    assert ended["output_tail"].endswith("read-only\n")
    tool("exec", "runner-pod-0-runner", "runner", "status")
    tool("play", "kube", "--down", manifest)


def make_postgresql(tool: Podman) -> None:
    """Make the image that compose.yaml names, which comes from a registry elsewhere."""
    folder = tool.folder / "postgresql"
    folder.mkdir()
    (folder / "entrypoint").write_text(ENTRYPOINT)
    (folder / "entrypoint").chmod(0o755)
    (folder / "Containerfile").write_text(POSTGRESQL)
    name = yaml.safe_load(COMPOSE.read_text())["services"]["postgres"]["image"]
    tool.build(folder, "--format", "docker", "-t", name)


@pytest.fixture
def compose(image: Image, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Prepare the folder as compose.yaml says; run podman-compose in it."""
    tool = image.tool
    make_postgresql(tool)
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    run(tmp_path / "venv/bin/pip", "install", "-q", "podman-compose", cwd=tmp_path)
    shutil.copy(COMPOSE, tmp_path)
    lines = re.findall(r"^#   (.+)$", COMPOSE.read_text(), re.MULTILINE)
    prepare = [line for line in lines if not line.startswith("docker")]
    run("sh", "-ec", "\n".join(prepare), cwd=tmp_path)
    own = tmp_path / "podman"
    own.write_text(f'#!/bin/sh\nexec {shlex.join(tool.command)} "$@"\n')
    own.chmod(0o755)
    program = (tmp_path / "venv/bin/podman-compose", "--podman-path", own)

    def composed(*words: str) -> str:
        return run(*program, *words, cwd=tmp_path, environment=tool.environment | PORT)

    yield composed
    composed("down", "--timeout", "1")


def test_the_fleet_of_the_compose_file_executes_on_its_worker_and_shows_it(
    image: Image, compose: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "jobs.d/where.yaml").write_text(
        "process: {command: [hostname]}\ntiming: run_immediately\n"
    )
    begun_s = time.monotonic()
    compose("up", "--detach")
    (ended,) = image.await_records("runner_runner_1", "execution.finished")
    check_row("compose, a fleet", time.monotonic() - begun_s)
    worker = image.tool("exec", "runner_worker_1", "hostname")
    assert (ended["status"], ended["output_tail"]) == ("success", worker)
    assert ended["node"] == worker.strip()

    add = ("runner", "token", "add", "maria", "--role", "admin")
    added = image.tool("exec", "runner_runner_1", *add)
    token = next(line for line in added.splitlines() if line.startswith("runner_"))
    address = f"http://127.0.0.1:{PORT['RUNNER_PORT']}/metrics"
    scrape = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})

    def metrics() -> str | None:
        try:
            with urllib.request.urlopen(scrape, timeout=60) as answer:
                return str(answer.read().decode())
        except OSError:  # the page starts once there is a token
            return None

    counted = 'runner_executions_total{reason="",request="where",status="success"} 1.0'
    wait_until(lambda: counted in (metrics() or ""), within_s=600, what="the page counts it")

    password = (tmp_path / "secrets/password").read_text()
    for name in ("runner", "worker", "page"):
        seen = image.tool("inspect", f"runner_{name}_1")
        seen += image.tool("exec", f"runner_{name}_1", "cat", "/proc/1/cmdline", "/proc/1/environ")
        assert password not in seen, name

    compose("down", "--timeout", "60")
    compose("up", "--detach")
    image.await_records("runner_runner_1", "runner.started", 2)
    image.tool("exec", "runner_runner_1", "runner", "status")
    assert len(image.records("runner_runner_1", "execution.finished")) == 1
