"""Workers of a fleet without a leader: the test offers executions and reads the reports."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

from support import fork_server, marked_points
from support.fleet import is_running
from support.fork_server import Process
from support.marked_points import Point
from support.place import ROOT, Place, wait_until

from runner.execution.trees import proc
from runner.lifecycle import Channel, IfInterrupted
from runner.requests import model
from runner.requests.model import Shell, Source
from runner.service.executions.execution import Claim, execution_for, row_of
from runner.store.postgres.connecting.address import address_of
from runner.store.postgres.connecting.connection import Connection, connect
from runner.store.postgres.content.texts import to_sql
from runner.store.postgres.fleet.worker_side import TASK
from runner.store.rows import ExecutionRow
from runner.values import new_id
from runner.worker.fencing.fence_file import read_fence

JOBS = "/leader/jobs.d"
"""The leader's jobs folder; each worker has its own."""
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A report of a worker."""

    execution: str
    node: str
    kind: str
    body: dict[str, Any]


class WorkerWorld:
    """A store in PostgreSQL, and places for workers. The test plays the leader."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.places: dict[str, Place] = {}
        self.running: list[Process] = []
        self._dying: list[subprocess.Popen[bytes]] = []
        self.settled: set[str] = set()
        self.perhaps_unstarted: set[str] = set()
        self.gate = folder / "go"
        self.ledger = folder / "ledger"
        self.ledger.touch()
        self.note_meta("jobs", JOBS)

    def work(
        self,
        name: str = "alpha",
        *arguments: str,
        state: Path | None = None,
        stdin: int | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> Process:
        """Start a worker; its name is that of its place, too. `state` is another folder."""
        place = self.places.get(name) or self._place(name)
        with self._console(name).open("ab") as console, open(os.devnull, "rb") as empty:  # noqa: PTH123
            process = fork_server.start(
                ("work", "--name", name, *arguments, *(["--state", str(state)] if state else [])),
                environment={**place.environment, **variables},
                folder=place.folder,
                streams=(
                    empty.fileno() if stdin is None else stdin,
                    console.fileno(),
                    console.fileno(),
                ),
            )
        self.running.append(process)
        return process

    def work_until(
        self, point: Point, count: int, number: signal.Signals, name: str
    ) -> subprocess.Popen[bytes]:
        """Start a worker that sends itself a signal when it passes a point."""
        place = self.places.get(name) or self._place(name)
        with self._console(name).open("ab") as console:
            process = subprocess.Popen(
                [
                    *(sys.executable, marked_points.__file__, *point, str(count), str(int(number))),
                    *("work", "--name", name, "--concurrency", "4"),
                ],
                env=place.environment | {"PYTHONPATH": str(ROOT)},
                cwd=place.folder,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        self._dying.append(process)
        return process

    def silent_for_s(self, name: str) -> float:
        """Return for how long nothing was heard of a worker, by the database's clock."""
        with self.connected() as connection:
            row = connection.execute(
                "SELECT extract(epoch FROM clock_timestamp() - heartbeat)::float8 FROM nodes"
                " WHERE name = %s",
                (name,),
            ).fetchone()
        assert row is not None
        return float(row[0])

    def check_ledger(self, executions: Iterable[str]) -> None:
        """Check that each execution ran exactly once, or is reported as perhaps not started.

        A worker that dies between the output file and the process leaves that open.
        """
        counts = Counter(self.noted())
        for each in executions:
            runs = counts[f"start {each}"], counts[f"end {each}"]
            assert runs == (1, 1) or (runs == (0, 0) and each in self.perhaps_unstarted), each

    def settle_all(self) -> set[str]:
        """Offer anew what got lost, commit all reported ends, and return all ends so far."""
        self.redeliver()
        for each in self.reports():
            if each.kind != "started":
                if each.body == {"lost": "starting"}:
                    self.perhaps_unstarted.add(each.execution)
                self.settle(each.execution)
                self.settled.add(each.execution)
        return self.settled

    def await_settled(self, count: int) -> None:
        """Play the leader until `count` executions have ended."""
        wait_until(lambda: len(self.settle_all()) >= count, within_s=120, what=f"{count} ends")

    def console(self, name: str = "alpha") -> str:
        """Return what the workers of a place have printed."""
        return self._console(name).read_text()

    def _console(self, name: str) -> Path:
        return self.folder / f"{name}.console"

    def end(self, worker: Process, by: signal.Signals = signal.SIGTERM) -> int:
        """Stop a worker; return its exit code."""
        worker.send_signal(by)
        return worker.wait(timeout=90)

    def close(self) -> None:
        """Kill the workers that still run, and end what waits for the gate."""
        self.gate.touch()
        for process in (*self.running, *self._dying):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        for name in self.places:
            if self._console(name).exists():
                assert "Traceback" not in self.console(name), self.console(name)

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Connect to the store."""
        with closing(connect(address_of(self.url), what="test")) as connection:
            yield connection

    def _place(self, name: str) -> Place:
        folder = self.folder / name
        folder.mkdir()
        place = self.places[name] = Place(folder)
        place.environment["RUNNER_STORE"] = self.url
        return place

    def note_meta(self, key: str, value: str) -> None:
        """Note a value as the leader does."""
        with self.connected() as connection:
            connection.execute(
                "INSERT INTO meta VALUES (%s, %s)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (key, value),
            )

    def offer(self, line: str, *, queue: str = "default", **process: Any) -> str:
        """Offer a shell line to the workers of a queue; return the id of its execution."""
        execution = new_id()
        self.offer_row(row_for(execution, line, queue, **process))
        return execution

    def offer_row(self, row: ExecutionRow) -> str:
        """Offer an execution as the leader does, in one transaction; return the dispatch."""
        dispatch = str(uuid4())
        with self.connected() as connection, connection.transaction():
            insert(connection, row)
            connection.execute(
                "INSERT INTO dispatches (execution, dispatch, queue) VALUES (%s, %s, %s)",
                (row.id, dispatch, row.queue),
            )
            deliver(connection, row.id, dispatch, row.queue)
        return dispatch

    def deliver_again(self, execution: str) -> None:
        """Deliver another job for the present offer of an execution."""
        with self.connected() as connection, connection.transaction():
            found = connection.execute(
                "SELECT dispatch::text, queue FROM dispatches WHERE execution = %s", (execution,)
            ).fetchone()
            assert found is not None
            deliver(connection, execution, *found)

    def redeliver(self) -> None:
        """Offer anew what no worker has taken and no job tells of, as the leader does."""
        with self.connected() as connection:
            rows = connection.execute(
                "UPDATE dispatches SET dispatch = gen_random_uuid() WHERE taken_by IS NULL"
                " AND dispatch::text NOT IN (SELECT args->>'dispatch' FROM procrastinate_jobs"
                " WHERE status = 'todo') AND offered_at < clock_timestamp() - interval '3 s'"
                " RETURNING execution, dispatch::text, queue"
            ).fetchall()
            for row in rows:
                deliver(connection, *row)

    def break_connections(self) -> None:
        """Break the connections of all workers."""
        with self.connected() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'runner work%' AND datname = current_database()"
            )

    def ask_to_stop(self, execution: str, reason: str, *, is_notified: bool = True) -> None:
        """Ask the worker of an execution to stop it."""
        with self.connected() as connection:
            connection.execute(
                "UPDATE dispatches SET stop_reason = %s WHERE execution = %s", (reason, execution)
            )
            if is_notified:
                connection.execute("NOTIFY runner_stops")

    def settle(self, execution: str) -> None:
        """Commit the end of an execution, as the leader does."""
        with self.connected() as connection:
            connection.execute("DELETE FROM executions WHERE id = %s", (execution,))
            connection.execute("DELETE FROM reports WHERE execution = %s", (execution,))

    def reports(self, execution: str | None = None) -> list[Reported]:
        """Return the reports, oldest first."""
        with self.connected() as connection:
            rows = connection.execute(
                "SELECT execution, node, kind, body FROM reports ORDER BY id"
            ).fetchall()
        return [
            Reported(execution=row[0], node=row[1], kind=row[2], body=json.loads(row[3]))
            for row in rows
            if execution in (None, row[0])
        ]

    def await_report(self, execution: str, kind: str) -> Reported:
        """Wait for a report."""
        return wait_until(
            lambda: next((each for each in self.reports(execution) if each.kind == kind), None),
            within_s=60,
            what=f"{kind} of {execution}",
        )

    def output(self, execution: str) -> bytes:
        """Return the output that the store has of an execution."""
        with self.connected() as connection:
            rows = connection.execute(
                "SELECT data FROM outputs WHERE execution = %s ORDER BY sequence", (execution,)
            ).fetchall()
        return b"".join(data for (data,) in rows)

    def node(self, name: str) -> dict[str, Any] | None:
        """Return the registration of a worker."""
        with self.connected() as connection:
            row = connection.execute(
                "SELECT to_jsonb(nodes) FROM nodes WHERE name = %s AND kind = 'work'", (name,)
            ).fetchone()
        return None if row is None else dict(row[0])

    def waiting_line(self, last: str = "") -> str:
        """Return a shell line that notes its start, waits for the gate, and then goes on."""
        return (
            f"echo start $RUNNER_EXECUTION_ID >> {self.ledger};"
            f" n=0; until [ -e {self.gate} ] || [ $((n += 1)) -gt 3000 ]; do sleep 0.1; done;"
            f" echo end $RUNNER_EXECUTION_ID >> {self.ledger}; {last}"
        )

    own_user = pwd.getpwuid(os.geteuid()).pw_name

    def worker_folder(self, name: str) -> Path:
        """Return the folder in which a worker keeps its notes and outputs."""
        return self.places[name].state / "worker"

    def kill_worker(self) -> None:
        """Kill the worker that was started last, and nothing else."""
        self.running[-1].kill()
        self.running[-1].wait()

    def kill_process(self, execution: str) -> None:
        """Kill an execution's process group from outside."""
        pid = self.await_report(execution, "started").body["pid"]
        os.killpg(pid, signal.SIGKILL)
        wait_until(lambda: not self.runs(execution), what=f"the end of {execution}")

    def kill_supervisor(self, name: str) -> None:
        """Kill the supervisor of a worker, and wait for its end."""
        supervisor = read_fence(self.worker_folder(name)).supervisor
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: not is_running(supervisor), what="the supervisor's end")

    def forget_identity(self, name: str) -> None:
        """Remove the worker's notes, so that it comes back with another identity."""
        for file in self.worker_folder(name).glob("notes.*"):
            file.unlink()

    def runs(self, execution: str) -> bool:
        """Return whether any process of an execution lives."""
        return bool(proc.members(proc.look_at_all(), execution, None))

    def take_for(self, node: str, execution: str) -> None:
        """Take an execution as a worker does that dies before it can note that."""
        with self.connected() as connection:
            connection.execute(
                "UPDATE dispatches SET taken_by = %s, take = %s, taken_at = clock_timestamp()"
                " WHERE execution = %s",
                (node, str(UUID(int=1 << 64)), execution),
            )
            connection.execute("DELETE FROM procrastinate_jobs")

    def taker_of(self, execution: str) -> str | None:
        """Return the worker that took an execution."""
        with self.connected() as connection:
            found = connection.execute(
                "SELECT taken_by FROM dispatches WHERE execution = %s", (execution,)
            ).fetchone()
        assert found is not None
        return None if found[0] is None else str(found[0])

    def insert_group(self, **process: Any) -> str:
        """Insert the execution of a group; return its id."""
        row = row_for(new_id(), "", action=model.Group(members=()), **process)
        with self.connected() as connection:
            insert(connection, row)
        return row.id

    def await_beat(self, name: str) -> None:
        """Wait for a further heartbeat: the worker then knows what the leader noted before."""
        former = self.await_worker(name)["heartbeat"]
        wait_until(
            lambda: self.await_worker(name)["heartbeat"] != former, within_s=60, what="a heartbeat"
        )

    def await_worker(self, name: str) -> dict[str, Any]:
        """Wait until a worker is registered."""
        return wait_until(lambda: self.node(name), within_s=60, what=f"the worker {name}")

    def noted(self) -> list[str]:
        """Return the lines of the ledger that the processes write."""
        return self.ledger.read_text().splitlines()


def deliver(connection: Connection, execution: str, dispatch: str, queue: str) -> None:
    """Write a job of Procrastinate for an execution."""
    arguments = json.dumps({"execution": execution, "dispatch": dispatch})
    connection.execute(
        "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(%s, %s, 0, NULL, NULL, %s::jsonb, NULL)"
        "::procrastinate_job_to_defer_v1])",
        (queue, TASK, arguments),
    )


def insert(connection: Connection, row: ExecutionRow) -> None:
    """Insert an execution."""
    columns, values = ", ".join(row._fields), ", ".join(["%s"] * len(row))
    connection.execute(
        f"INSERT INTO executions ({columns}) VALUES ({values})".encode(),
        [to_sql(each) if isinstance(each, str) else each for each in row],
    )


def row_for(execution: str, line: str, queue: str = "default", **process: Any) -> ExecutionRow:
    """Return the row of an execution that waits to be taken."""
    group = process.pop("group", None)
    if user := process.pop("run_as", None):
        process["run_as"] = model.RunAs(user=user)
    if "if_interrupted" in process:
        process["if_interrupted"] = IfInterrupted(process["if_interrupted"])
    content: dict[str, Any] = {
        "name": "example",
        "action": Shell(line=line),
        "directory": "/leader/jobs.d",
    }
    claim = Claim(
        id=execution,
        request="example",
        process=model.Process(**(content | process)),
        channel=Channel.DIRECT,
        scheduled_for=NOON,
        generation=None,
        source=Source(file="example.yaml", line=1, sha256="0" * 64),
        output_file=f"{execution[-1]}/{execution[-2]}/{execution}.out",
        group=group,
    )
    return row_of(execution_for(claim, due=NOON))._replace(queue=queue)
