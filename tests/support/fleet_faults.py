"""Faults that a fleet under load must survive, and the fleet that suffers them."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from support.crash_load import post
from support.database_proxy import DatabaseProxy
from support.fleet import FleetNode, Ledger, ends, is_running, worker_of
from support.fork_server import Process
from support.place import SECONDLY, wait_until
from support.postgres import OwnServer, execute

from runner.worker.fencing.fence_file import read_fence

_AGAIN = (
    "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args, status)"
    " SELECT queue_name, task_name, priority, args, 'todo' FROM procrastinate_jobs"
    " ORDER BY id DESC LIMIT 20"
)
_LONGER_THAN_A_LEASE_S = 12.0
FIRED = ("tick", "often", "guarded", "replaced")
"""The requests that fire each second."""


class FleetUnderFaults:
    """Nodes with workers under load; the last one reaches the database through a proxy."""

    def __init__(
        self, folder: Path, url: str, server: OwnServer, way: DatabaseProxy, random: Random
    ) -> None:
        first = FleetNode(folder / "n0", url)
        self.nodes = [
            first,
            FleetNode(folder / "n1", url, jobs=first.jobs),
            FleetNode(folder / "n2", way.url, jobs=first.jobs),
        ]
        self.tick = Ledger(folder / "ledger")
        self.processes: list[Process] = []
        """The process of each node."""
        self.random = random
        self._overlaps = folder / "overlaps"
        self._url = url
        self._server = server
        self._way = way
        self.faults: dict[str, Callable[[], None]] = {
            "kill -9 of the leader": self._kill_leader,
            "kill -9 of a node": self._kill_any,
            "SIGSTOP of the leader beyond its lease": self._freeze_leader,
            "SIGSTOP of a node for a moment": self._freeze_any,
            "kill -9 of a worker": self._kill_worker,
            "SIGSTOP of a worker": self._freeze_worker,
            "a crash of the database": self._crash_database,
            "the end of all its connections": self._end_connections,
            "no network for a node": self._cut_network,
            "jobs delivered twice": self._deliver_again,
            "kill -9 of a supervisor": self._kill_supervisor,
            "SIGSTOP of a supervisor": self._freeze_supervisor,
            "notifications to a node lost": self._lose_notifications,
            "a restart of a node": self._restart_any,
        }

    def start(self) -> None:
        """Declare the load and start the nodes."""
        first = self.nodes[0]
        first.declare("tick", self.tick.shell, SECONDLY)
        first.declare("often", self.tick.shell, SECONDLY)
        first.declare("asked", self.tick.shell)
        for name, overlap in (("guarded", "refuse"), ("replaced", "replace")):
            first.declare(
                name, self._alone(name), SECONDLY, prevent_concurrent=True, on_overlap=overlap
            )
        self.processes = [node.join() for node in self.nodes]
        self.await_progress()

    def suffer(self, fault: str) -> None:
        """Let a fault happen, and wait until the fleet goes on."""
        self.ask()
        time.sleep(self.random.uniform(0.0, 1.5))  # any moment may be the wrong one
        self.faults[fault]()
        self.await_progress()

    def await_progress(self) -> None:
        """Wait for further starts."""
        before = self.tick.starts().total()
        wait_until(
            lambda: self.tick.starts().total() >= before + 4, within_s=180, what="more starts"
        )

    def ask(self) -> None:
        """Post the command that executes `asked`."""
        post(self.nodes[0].store, "exec", "asked", now=datetime.now(UTC))

    def check_guards(self) -> None:
        """Check that no two executions of a guarded request ran at once."""
        assert not self._overlaps.exists(), self._overlaps.read_text()

    def check_commands(self, records: Iterable[Mapping[str, Any]]) -> int:
        """Check that each command was applied once or withdrawn; return how many there were."""
        rows = execute(self._url, "SELECT status FROM commands WHERE kind = 'exec'")
        counts = Counter(str(status) for (status,) in rows)
        assert counts.keys() <= {"answered", "withdrawn"}, counts
        assert len(ends(records, "asked")) == counts["answered"], counts
        return len(rows)

    def end(self) -> None:
        """End everything."""
        self._way.restore_network()
        with ExitStack() as stack:  # the failure of one leaves none running
            for node in self.nodes:
                stack.callback(node.end_all)

    def leader(self) -> int:
        """Return which node leads, by now in its present process."""

        def pid() -> int | None:
            rows = execute(self._url, "SELECT pid FROM lease WHERE expires > clock_timestamp()")
            return int(str(rows[0][0])) if rows else None

        def leader() -> list[int]:
            return [index for index, each in enumerate(self.processes) if each.pid == pid()]

        return wait_until(leader, within_s=90, what="a leader")[0]

    def worker(self) -> int:
        """Return the pid of the worker of some node."""
        return self.any_worker()[1]

    def freeze(self, pid: int, duration_s: float) -> None:
        """Stop a process for some time."""
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(duration_s)
        finally:
            os.kill(pid, signal.SIGCONT)

    def rejoin(self, index: int) -> None:
        """Start a node whose process has ended or is about to end."""
        self.processes[index].wait(timeout=120)
        self.processes[index] = self.nodes[index].join()

    def pause_s(self) -> float:
        """Return how long a node stops: for a moment, or beyond its lease."""
        return self.random.choice((self.random.uniform(0.1, 3.0), _LONGER_THAN_A_LEASE_S))

    def _alone(self, name: str) -> str:
        """Return a shell line that notes if another process of the request runs."""
        # The kernel releases the lock of a shell that ends in whatever way.
        lock = self._overlaps.with_name(f"{name}.lock")
        return (
            f"exec 9>>{lock}; flock -n 9 || echo {name} $RUNNER_EXECUTION_ID >> {self._overlaps};"
            f" {self.tick.shell} 9>&-; sleep 1.5 9>&-"
        )

    def _any(self) -> int:
        return self.random.randrange(len(self.nodes))

    def _kill(self, index: int) -> None:
        self.processes[index].kill()
        self.rejoin(index)

    def _kill_leader(self) -> None:
        self._kill(self.leader())

    def _kill_any(self) -> None:
        self._kill(self._any())

    def _freeze_leader(self) -> None:
        self.freeze(self.processes[self.leader()].pid, _LONGER_THAN_A_LEASE_S)

    def _freeze_any(self) -> None:
        self.freeze(self.processes[self._any()].pid, self.random.uniform(0.1, 3.0))

    def _kill_worker(self) -> None:
        os.kill(self.worker(), signal.SIGKILL)

    def _freeze_worker(self) -> None:
        with suppress(ProcessLookupError):
            self.freeze(self.worker(), self.random.uniform(0.5, 6.0))

    def _workers(self) -> list[tuple[int, int]]:
        found = ((index, worker_of(each)) for index, each in enumerate(self.processes))
        return [(index, pid) for index, pid in found if pid is not None]

    def any_worker(self) -> tuple[int, int]:
        """Return a node with its worker's pid."""
        # A worker that dies again and again starts after a pause of up to five minutes.
        workers = wait_until(self._workers, within_s=400, what="a worker")
        return self.random.choice(workers)

    def _supervisor(self, index: int) -> int:
        """Return the supervisor of a worker that lives: never lose both at once."""
        folder = self.nodes[index].state / "worker"

        def supervisor() -> int | None:
            with suppress(OSError, ValueError):
                pid = read_fence(folder).supervisor
                return pid if pid and is_running(pid) else None
            return None

        return wait_until(supervisor, within_s=180, what="a supervisor")

    def _kill_supervisor(self) -> None:
        index, _ = self.any_worker()
        with suppress(ProcessLookupError):
            os.kill(self._supervisor(index), signal.SIGKILL)
        self._supervisor(index)

    def _freeze_supervisor(self) -> None:
        with suppress(ProcessLookupError):
            self.freeze(self._supervisor(self.any_worker()[0]), self.random.uniform(0.5, 6.0))

    def _lose_notifications(self) -> None:
        self._way.loses_notifications = True
        self.await_progress()
        self._way.loses_notifications = False

    def _crash_database(self) -> None:
        self._server.stop()
        time.sleep(self.random.uniform(0.0, 3.0))
        self._server.start()

    def _end_connections(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    def _cut_network(self) -> None:
        self._way.lose_network()
        time.sleep(_LONGER_THAN_A_LEASE_S)
        self._way.restore_network()

    def _restart_any(self) -> None:
        done = self.nodes[self._any()].run("restart", timeout_s=120)
        assert done.returncode == 0, done.stderr

    def _deliver_again(self) -> None:
        execute(self._url, _AGAIN)
