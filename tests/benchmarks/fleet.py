"""A fleet on one machine: a leader, two workers, and PostgreSQL with its usual durability.

`python tests/benchmarks/fleet.py` prints the figures of tests/README.md, "The fleet". Starts
and ends processes.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import click
import psycopg
from benchmarks.fleet_tasks import QUEUE, defer
from benchmarks.service import RUNNER, Service, end, epoch_s, processor_s_of
from support import postgres_keeper
from support.postgres import OwnServer

WORKERS = 2
_TASKS = Path(__file__).with_name("fleet_tasks.py")
_WITHIN_S = 300.0
_PER_FILE = 1000
_JUST_BEFORE_S = 0.2
_DURABLE = ("listen_addresses=", "shared_buffers=128MB", "max_connections=200")
_AT = "process: {{command: [/bin/true]}}\ntiming: {{run_later: {{start: '{}', timezone: UTC}}}}\n"


class Speed(NamedTuple):
    """How fast executions were."""

    a_second: float
    worker_ms: float
    """The processor time of the workers for each, with its process, in milliseconds."""


@click.command()
@click.option("--executions", default=1000, show_default=True, help="Of one instant, to run.")
@click.option("--claims", default=10_000, show_default=True, help="Of one instant, to commit.")
@click.option("--fires", default=60, show_default=True, help="Lone fires, one a second.")
@click.option("--concurrency", default=4, show_default=True, help="Of each worker.")
@click.option("--rounds", default=3, show_default=True, help="Of executions.")
def main(executions: int, claims: int, fires: int, concurrency: int, rounds: int) -> None:
    """Measure a fleet, and bare Procrastinate beside it."""
    postgres_keeper._SETTINGS = _DURABLE  # type: ignore[assignment]
    with tempfile.TemporaryDirectory(prefix="runner-fleet-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "server").mkdir()
        server = OwnServer(folder / "server")
        try:
            for number in range(rounds):
                ours = _measured(server, folder / f"ours-{number}", executions, concurrency)
                bare = _bare(server, executions, concurrency)
                click.echo(
                    f"{executions} executions, {WORKERS} workers: {ours.a_second:.0f}/s;"
                    f" bare Procrastinate tasks {bare.a_second:.0f}/s;"
                    f" ratio {ours.a_second / bare.a_second:.2f}"
                )
                click.echo(
                    f"  a worker's processor time for each: {ours.worker_ms:.2f} ms;"
                    f" bare {bare.worker_ms:.2f} ms; ratio {bare.worker_ms / ours.worker_ms:.2f}"
                )
            committed_s = _claimed(server, folder / "claims", claims)
            click.echo(f"{claims} claims of one instant: all committed after {committed_s:.2f} s")
            took = sorted(_takeover(server, folder / f"takeover-{number}") for number in range(3))
            words = ", ".join(f"{each:.1f}" for each in took)
            click.echo(f"takeover after kill -9 of the leader: {words} s")
            late = _lateness(server, folder / "lone", fires)
            click.echo(
                f"lateness of {len(late)} lone fires: p50 {late[len(late) // 2]:.1f} ms,"
                f" p99 {late[int(len(late) * 0.99)]:.1f} ms"
            )
        finally:
            server.stop()


@contextmanager
def _fleet(
    url: str, folder: Path, *, workers: int = WORKERS, concurrency: int = 4
) -> Iterator[tuple[Service, list[int]]]:
    """Run a leader and workers around the block; yield the leader's service, and the pids of
    the workers.
    """
    service = Service(folder)
    service.environment |= {"RUNNER_STORE": url}
    with ExitStack() as processes:
        leader = processes.enter_context(service.running("--no-work"))
        pids = []
        for number in range(workers):
            worker = subprocess.Popen(
                [*RUNNER, "work", f"--name=worker-{number}", f"--concurrency={concurrency}",
                 f"--state={folder / f'worker-{number}'}"],
                env=service.environment, cwd=folder,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            processes.callback(end, worker)
            pids.append(worker.pid)
        with psycopg.connect(_schema(url), autocommit=True) as connection:
            until(lambda: _count(connection, "nodes WHERE kind = 'work'") == workers)
        assert leader.poll() is None
        yield service, pids


def _measured(server: OwnServer, folder: Path, count: int, concurrency: int) -> Speed:
    """Measure executions from the instant at which all are due to the last end."""
    folder.mkdir()
    with server.new_database(is_empty=True) as url:
        with _fleet(url, folder, concurrency=concurrency) as (service, workers):
            due = _write_due(service, count, lead_s=20.0)
            until(lambda: time.time() > due - _JUST_BEFORE_S)
            before_s = processor_s_of(workers)
            until(lambda: len(service.records("execution.finished")) == count)
            used_s = processor_s_of(workers) - before_s
            ends = [epoch_s(each["ended"]) for each in service.records("execution.finished")]
        return Speed(count / (max(ends) - due), used_s * 1000 / count)


def _bare(server: OwnServer, count: int, concurrency: int) -> Speed:
    """Measure tasks of bare Procrastinate, from their commit to the last end."""
    with server.new_database() as url, ExitStack() as processes:
        conninfo, pids = _schema(url), []
        for _ in range(WORKERS):
            worker = subprocess.Popen(
                [sys.executable, _TASKS, "work", conninfo, str(concurrency)],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            processes.callback(end, worker)
            pids.append(worker.pid)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            until(lambda: _count(connection, "procrastinate_workers") == WORKERS)
            begun_s, before_s = time.time(), processor_s_of(pids)
            asyncio.run(defer(conninfo, count))
            left = f"procrastinate_jobs WHERE queue_name = '{QUEUE}'"
            until(lambda: _count(connection, left) == 0)
            taken_s, used_s = time.time() - begun_s, processor_s_of(pids) - before_s
            return Speed(count / taken_s, used_s * 1000 / count)


def _claimed(server: OwnServer, folder: Path, count: int) -> float:
    """Return how many seconds after their instant all claims are committed."""
    folder.mkdir()
    with server.new_database(is_empty=True) as url, _fleet(url, folder, workers=0) as (service, _):
        with psycopg.connect(_schema(url), autocommit=True) as connection:
            due = _write_due(service, count, lead_s=75.0)
            until(lambda: _count(connection, "requests") == count)
            until(lambda: _count(connection, "dispatches") == count)
            row = connection.execute("SELECT max(offered_at) FROM dispatches").fetchone()
            assert row is not None
            last: datetime = row[0]
        return last.timestamp() - due


def _lateness(server: OwnServer, folder: Path, count: int) -> list[float]:
    """Return by how many ms lone fires started late, ascending."""
    folder.mkdir()
    with server.new_database(is_empty=True) as url, _fleet(url, folder) as (service, _):
        service.write(
            "tick", "process: {command: [/bin/true]}\ntiming: {schedule: {frequency: secondly}}"
        )
        until(lambda: len(service.records("execution.started")) >= count)
        records = service.records("execution.started")[:count]
        return sorted(each["lateness_s"] * 1000 for each in records)


def _takeover(server: OwnServer, folder: Path) -> float:
    """Return how many seconds after `kill -9` of the leader another node leads."""
    folder.mkdir()
    nodes = []
    for name in ("one", "two"):
        (folder / name).mkdir()
        nodes.append(Service(folder / name))
    with server.new_database(is_empty=True) as url, ExitStack() as processes:
        first, second = nodes
        for node in nodes:
            node.environment |= {"RUNNER_STORE": url}
        leader = subprocess.Popen(
            [*RUNNER, "start", "--no-work"], env=first.environment, cwd=folder / "one",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        processes.callback(end, leader)
        until(lambda: first.log.exists() and first.records("runner.started"))
        standby = subprocess.Popen(
            [*RUNNER, "start", "--no-work"], env=second.environment, cwd=folder / "two",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        processes.callback(end, standby)
        until(lambda: second.log.exists() and second.records("runner.standby"))
        leader.kill()
        leader.wait()
        begun_s = time.time()
        with psycopg.connect(_schema(url), autocommit=True) as connection:
            until(lambda: _count(connection, "lease WHERE epoch = 2") == 1)
        return time.time() - begun_s


def _write_due(service: Service, count: int, *, lead_s: float) -> float:
    """Write requests that are all due at one instant; return it in epoch seconds."""
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=lead_s)
    text = _AT.format(due.strftime("%Y-%m-%d %H:%M:%S"))
    for first in range(0, count, _PER_FILE):
        numbers = range(first, min(first + _PER_FILE, count))
        documents = "---\n".join(f"name: due-{number}\n{text}" for number in numbers)
        service.write(f"due-{first}", documents)
    return due.timestamp()


def _schema(url: str) -> str:
    return f"{url}&options=-csearch_path%3Drunner"


def _count(connection: psycopg.Connection[tuple[object, ...]], source: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {source}".encode()).fetchone()
    assert row is not None
    return int(str(row[0]))


def until(condition: object, within_s: float = _WITHIN_S) -> None:
    """Wait for a condition. Raises TimeoutError."""
    bound_s = time.monotonic() + within_s
    while not condition():  # type: ignore[operator]
        if time.monotonic() > bound_s:
            raise TimeoutError(os.strerror(110))
        time.sleep(0.05)


if __name__ == "__main__":
    main()
