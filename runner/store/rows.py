"""The rows of the store as values. Pure. Instants are microseconds since 1970-01-01T00:00Z.

Rows are tuples: every command defines their classes, and every execution makes several.
Frozen dataclasses take three to five times as long for both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class RequestRow(NamedTuple):
    """A request's state and its last good definition."""

    name: str
    file: str | None
    """The file that supplied the definition."""
    definition: str | None
    """JSON; None once the file is gone."""
    generation: int
    fired_through: int | None
    """Fires up to this instant have their verdicts."""
    state: str


class Phase(StrEnum):
    """The progress of an execution, as far as the store knows.

    `queued` is the phase in which any executor may take an execution. On one machine the
    commit that gives it a place below `max_running` also takes it, so an execution with a
    free place is never queued. An execution whose start was ordered is `starting`, even
    while it is held behind a mount that hangs: if the runner dies then, nothing proves that
    it has not started.
    """

    WAITING = "waiting"  # for its start time or its guard; certainly not started
    QUEUED = "queued"  # ready, but no executor has taken it; certainly not started
    STARTING = "starting"  # taken, perhaps started
    RUNNING = "running"  # started; the process id is known

    @property
    def is_before_start(self) -> bool:
        """Whether the execution has certainly not started."""
        return self is Phase.WAITING or self is Phase.QUEUED


class ExecutionRow(NamedTuple):
    """A claim and its process, until the finished record is committed.

    The key is unique: request, generation, scheduled_for, attempt, sequence and
    `group_id`. Claims of the direct channel are exempt; their generation is None.
    """

    id: str
    request: str
    generation: int | None
    scheduled_for: int
    attempt: int
    sequence: int
    phase: Phase
    pid: int | None
    pid_started: int | None
    """When the process started, in clock ticks since the boot."""
    body: str
    node: str | None = None
    """The host on which the process runs; None before its start."""
    started: int | None = None
    stopped_by: str | None = None
    stopped_for: str | None = None
    due: int = 0
    """The earliest start."""
    group_id: str | None = None
    """The id of the group execution that a member belongs to."""
    queue: str = "default"
    """The queue whose workers may run it; on one machine the runner serves all."""


OF_VERSION_1 = "before "
"""The beginning of `execution` in a result from a store of version 1, which kept only the
last result of each request.
"""


class ResultRow(NamedTuple):
    """How an execution ended.

    A group has a result, its members have none.
    """

    execution: str
    request: str
    """Its name follows a renaming of the request."""
    channel: str
    status: str
    reason: str | None
    scheduled_for: int
    attempt: int
    started: int | None
    """None if no process started."""
    ended: int
    duration: int
    """In microseconds; if possible, by a clock that nobody can set."""


class AlertRow(NamedTuple):
    """What is durable about one check. Request and check are the key."""

    request: str
    """Empty for the runner's own checks."""
    check_name: str
    state: str
    """JSON; empty to delete the row."""


class Mark(NamedTuple):
    """The known end of the monitor log: `file` is complete before `offset`, in bytes."""

    file: int
    """The number by which the log recognises the file; unsigned, 64 bits."""
    offset: int


class CommandStatus(StrEnum):
    """A command's progress. It leaves `pending` once: the owner takes it, or it is withdrawn."""

    PENDING = "pending"
    # Taken: the owner will answer it. If the owner dies first, the command is withdrawn.
    TAKEN = "taken"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"


class CommandRow(NamedTuple):
    """A command to the runner. `arguments` and `answer` are JSON, `deadline` microseconds."""

    id: str
    kind: str
    arguments: str
    requested_by: str
    deadline: int
    status: CommandStatus
    answer: str | None = None


MALFORMED_ANSWER = (
    '{"is_done": false, "lines": ["the command in the store is malformed"], "data": {}}'
)
"""The answer to a row that no `runner` command wrote; `runner.commands` reads it."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """Everything that one turn of the loop commits together. Mutable: it is filled,
    committed and dropped.

    A command and its effects belong into the same batch: then either both are durable or
    neither.
    """

    requests: dict[str, RequestRow] = field(default_factory=dict)
    executions: dict[str, ExecutionRow] = field(default_factory=dict)
    pruned: list[str] = field(default_factory=list)
    """Names of requests to delete."""
    ended: list[str] = field(default_factory=list)
    """Ids of executions to delete."""
    results: list[ResultRow] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    """Ids of executions whose results to delete."""
    renamed: dict[str, str] = field(default_factory=dict)
    """The new names of requests by their former ones; the results get the new name."""
    records: list[bytes] = field(default_factory=list)
    """Whole lines for the outbox."""
    answers: dict[str, str] = field(default_factory=dict)
    """JSON by the id of a taken command."""
    meta: dict[str, str] = field(default_factory=dict)
    alerts: list[AlertRow] = field(default_factory=list)
    notifications: dict[str, str | None] = field(default_factory=dict)
    """What people will be notified of, as JSON by id; None deletes it."""

    def __bool__(self) -> bool:
        return any(
            (
                self.requests,
                self.executions,
                self.pruned,
                self.ended,
                self.results,
                self.forgotten,
                self.renamed,
                self.records,
                self.answers,
                self.meta,
                self.alerts,
                self.notifications,
            )
        )

    def joined(self, other: Batch) -> Batch:
        """Return both as one batch; where both have the same row, `other` wins."""
        return Batch(
            requests=self.requests | other.requests,
            executions=self.executions | other.executions,
            pruned=self.pruned + other.pruned,
            ended=self.ended + other.ended,
            results=self.results + other.results,
            forgotten=self.forgotten + other.forgotten,
            renamed=self.renamed | other.renamed,
            records=self.records + other.records,
            answers=self.answers | other.answers,
            meta=self.meta | other.meta,
            alerts=self.alerts + other.alerts,
            notifications=self.notifications | other.notifications,
        )


class Coming(NamedTuple):
    """The next fire of a request, and when it is due, its spread included."""

    request: str
    fire: int
    due: int


KEPT_DAYS = 30
"""For how long a node of a fleet may be silent, in days. For one that was silent for longer, no
record is kept.
"""


class Wish(StrEnum):
    """What a node of a fleet that does not lead is asked to do."""

    STOP = "stop"
    RESTART = "restart"


WORKER_AWAY_S = 30.0
"""A worker that was silent for longer serves no queue, though its executions are not lost."""


class NodeRow(NamedTuple):
    """A node of a fleet. Name and kind are the key."""

    name: str
    kind: str
    """`start`: it can lead. `work`: it runs executions."""
    instance: str
    """Random for each start of the node."""
    version: str
    silent_s: float
    """How long ago its last sign of life was, in seconds: a heartbeat, or a renewed lease."""
    clock_offset_s: float
    """How far the database's clock is ahead of the node's, in seconds."""
    queues: tuple[str, ...]
    concurrency: int | None
    executions: int
    """How many executions it has taken."""
    is_draining: bool
    log_seq: int
    """The number of the newest record in its own monitor log."""


class Fleet(NamedTuple):
    """Who leads a fleet, and its nodes by kind and name."""

    leader: str | None
    """The node that leads; None while none does."""
    epoch: int
    record: int
    """The number of the newest record."""
    now: float
    """The time of the database, in seconds since 1970-01-01T00:00Z."""
    nodes: tuple[NodeRow, ...]

    @property
    def workers(self) -> list[NodeRow]:
        """The workers, also those that were not heard of lately."""
        return [node for node in self.nodes if node.kind == "work"]

    def served(self, queue: str) -> int:
        """Return how many live workers serve a queue."""
        return sum(not worker.is_draining for worker in self._live(queue))

    def drained(self, queue: str) -> list[str]:
        """Return the names of the live workers of a queue that take nothing new."""
        return [worker.name for worker in self._live(queue) if worker.is_draining]

    def _live(self, queue: str) -> list[NodeRow]:
        return [
            worker
            for worker in self.workers
            if queue in worker.queues and worker.silent_s < WORKER_AWAY_S
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The content that a starting runner needs."""

    requests: tuple[RequestRow, ...]
    executions: tuple[ExecutionRow, ...]
    outbox: range
    """The numbers of committed records that may be missing in the log.

    Their lines are read in portions, because there may be very many.
    """
    mark: Mark | None
    meta: dict[str, str]
    alerts: tuple[AlertRow, ...] = ()
    notifications: dict[str, str] = field(default_factory=dict)
    offers: dict[str, str] = field(default_factory=dict)
    """The queue of each execution that is offered to workers and that none has taken."""
    latest_noted_start: int = 0
    """The latest `due` (epoch microseconds) that `Store.note_start` noted.

    An execution that is due later was never started. Reliable until the machine restarts.
    """
