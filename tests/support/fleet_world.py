"""The leader's side of a fleet without its loop, and a worker that does what a test says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from runner.execution.executor import ExecutionEvent, Measured, Needs, Order, RemoteExit
from runner.execution.node_reports import Reported, report_of
from runner.execution.output import Tail
from runner.execution.trees.watched import Exit, FormerExecution
from runner.lifecycle import Channel
from runner.requests.model import Process, Shell, Source
from runner.service.executions.execution import Claim, execution_for, row_of
from runner.service.fleet.fleet_executor import FleetExecutor
from runner.store.postgres.connecting.address import address_of
from runner.store.postgres.connecting.connection import connect
from runner.store.postgres.store import PostgresStore
from runner.store.rows import Batch, ExecutionRow
from runner.system.clock import SystemClock
from runner.values import new_id

BOUND_S = 60.0
NEEDS = Needs(directory="/", environment_files=(), path=None, program=None, user=None)


class Job(NamedTuple):
    """What a job of the queue says."""

    execution: str
    dispatch: str


class Leader:
    """A store of a fleet with its executor; `turn` does what the loop does with both."""

    def __init__(self, url: str, folder: Path, *, lost_after_s: float = 3600.0) -> None:
        self.clock = SystemClock()
        self.url = url
        address = address_of(url)
        self.executor = FleetExecutor(address, self.clock, lost_after_s=lost_after_s)
        self.store = PostgresStore.own(address, folder, part=self.executor)
        self.store.load()
        self.events: list[ExecutionEvent] = []

    def claim(self, *, queue: str = "default", count: int = 1) -> list[str]:
        """Commit executions that start now, and order them."""
        rows = [_row(queue) for _ in range(count)]
        self.store.commit(Batch(executions={row.id: row for row in rows}))
        for row in rows:
            self.executor.start(order_of(row.id))
        return [row.id for row in rows]

    def adopt(self, execution: str, *, pid: int | None = None) -> object:
        """Ask for an execution that another leader ordered."""
        return self.executor.adopt(former(execution, pid=pid))

    def turn(self) -> list[ExecutionEvent]:
        """Take the events, and commit what the executor has to write; return the events."""
        events = self.executor.events()
        if events or self.store.has_changes:
            self.store.commit(Batch())
        self.events += events
        return events

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Turn until a condition holds."""
        bound_s = time.monotonic() + BOUND_S
        while not condition():
            assert time.monotonic() < bound_s, f"not within {BOUND_S} s: {what}; {self.events}"
            self.turn()
            time.sleep(0.005)

    def next_event(self) -> ExecutionEvent:
        """Turn until there is an event, and take it off the list."""
        self.until(lambda: bool(self.events), "an event")
        return self.events.pop(0)

    @property
    def dropped_reports(self) -> int:
        """How many reports were dropped, as the store has it."""
        return int(self.store.load().meta.get("dropped_reports", "0"))

    def close(self) -> None:
        """Give up the lease."""
        self.executor.close()
        self.store.close()


class ScriptedWorker:
    """A worker that a test makes act, step by step."""

    def __init__(self, url: str, name: str = "worker") -> None:
        self.name = name
        self._address = address_of(url)
        self.connection = connect(self._address, what=name)
        self.taken: set[str] = set()

    def join(self, executions: Iterable[str] = ()) -> None:
        """Register, or write a heartbeat that lists `executions`."""
        self.connection.execute(
            "INSERT INTO nodes (name, kind, machine, boot, state_id, instance, version, queues,"
            " concurrency, executions) VALUES (%s, 'work', 'm', 'b', 's', 'i', '0', '{default}',"
            " 4, %s) ON CONFLICT (name, kind) DO UPDATE"
            " SET heartbeat = clock_timestamp(), executions = excluded.executions",
            (self.name, list(executions)),
        )

    def jobs(self, queue: str = "default") -> list[Job]:
        """Fetch the waiting jobs of a queue, which are then over."""
        rows = self.connection.execute(
            "DELETE FROM procrastinate_jobs WHERE queue_name = %s"
            " RETURNING args->>'execution', args->>'dispatch', id",
            (queue,),
        ).fetchall()
        return [Job(*row[:2]) for row in sorted(rows, key=lambda row: row[2])]

    def take(self, job: Job) -> bool:
        """Take the execution of a job; return whether it is this worker's now."""
        done = self.connection.execute(
            "UPDATE dispatches SET taken_by = %s, take = %s, taken_at = clock_timestamp()"
            " WHERE execution = %s AND dispatch = %s AND taken_by IS NULL",
            (self.name, uuid4(), job.execution, job.dispatch),
        )
        if done.rowcount:
            self.taken.add(job.execution)
        return bool(done.rowcount)

    def take_all(self, queue: str = "default") -> list[str]:
        """Fetch and take what waits; return the executions that are now this worker's."""
        return [job.execution for job in self.jobs(queue) if self.take(job)]

    def report(self, *events: Reported, is_notified: bool = True) -> None:
        """Report events."""
        for event in events:
            report = report_of(event)
            self.write(report.execution, report.kind, report.body)
        if is_notified:
            self.connection.execute("NOTIFY runner_reports")

    def write(self, execution: str, kind: str, body: str) -> None:
        """Write the row of a report, as a worker does: one that is there stays as it is."""
        self.connection.execute(
            "INSERT INTO reports (execution, node, kind, sequence, body)"
            " VALUES (%s, %s, %s, 1, %s) ON CONFLICT DO NOTHING",
            (execution, self.name, kind, body),
        )

    def asked_to_end(self) -> dict[str, str]:
        """Return the reasons why executions of this worker are to end."""
        rows = self.connection.execute(
            "SELECT execution, stop_reason FROM dispatches"
            " WHERE taken_by = %s AND stop_reason IS NOT NULL",
            (self.name,),
        )
        return dict(rows.fetchall())

    def close(self) -> None:
        """Vanish, without a word to anybody."""
        self.connection.close()


def count_in(url: str, table: str) -> int:
    """Return how many rows a table has."""
    with closing(connect(address_of(url))) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
        assert row is not None
        return int(row[0])


def ended(execution: str, *, exit_code: int = 0, text: str = "") -> RemoteExit:
    """Return the end of a process after a second of work."""
    exited = Exit(
        execution=execution,
        exit_code=exit_code,
        signal=None,
        cpu_s=0.5,
        max_rss_bytes=1 << 20,
        stopped_for=None,
    )
    measured = Measured(
        ended=SystemClock().now(),
        duration=timedelta(seconds=1),
        tail=Tail(text=text, total_bytes=len(text), truncated=False),
    )
    return RemoteExit(exited=exited, measured=measured, is_adopted=False)


def former(execution: str, *, pid: int | None = None) -> FormerExecution:
    """Return an execution as the store of a former leader has it."""
    return FormerExecution(
        execution=execution,
        pid=pid,
        pid_started=None if pid is None else 1,
        stop_signal=15,
        stop_grace_s=10.0,
        timeout_left_s=None,
        output_file="",
        output_limit=None,
        has_condition=False,
    )


def order_of(execution: str) -> Order:
    """Return an order whose launch nobody needs here: the worker builds its own."""

    def prepare() -> None:
        raise AssertionError("a leader builds no launch")

    return Order(execution=execution, needs=NEEDS, prepare=prepare)  # type: ignore[arg-type]


def _row(queue: str) -> ExecutionRow:
    execution, now = new_id(), SystemClock().now()
    process = Process(name="a", action=Shell(line="true"), directory="/", queue=queue)
    claim = Claim(
        id=execution,
        request="a",
        process=process,
        channel=Channel.DIRECT,
        scheduled_for=now,
        generation=None,
        source=Source(file="a.yaml", line=1, sha256=""),
        output_file=f"0/0/{execution}.out",
    )
    return row_of(execution_for(claim, due=now))
