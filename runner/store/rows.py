"""What the store holds, as values. Pure. Instants are integer microseconds since 1970-01-01T00:00Z."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """A request's state, and the last good definition (None once its file is gone).
    `file` is what supplied it.
    """

    name: str
    file: str | None
    definition: str | None
    generation: int
    fired_through: int | None
    state: str


class Phase(StrEnum):
    """How far an execution has come, as far as the store knows."""

    WAITING = "waiting"  # claimed, certainly not started
    STARTING = "starting"  # claimed, committed, perhaps started
    RUNNING = "running"  # started; the process id is known


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRow:
    """A claim, and what runs for it, until its finished record is committed.

    Unique by request, generation, scheduled_for, attempt, sequence and `group_id` (the
    group's execution, of a member), but for those of the direct channel, whose
    generation is None. `due` is 0 where version 1 of the store wrote it.
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
    body: str
    started: int | None = None
    stopped_by: str | None = None
    stopped_for: str | None = None
    due: int = 0
    group_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The place in the monitor log up to which everything is known to be written: bytes
    before `offset` of `inode`.
    """

    inode: int
    offset: int


class CommandStatus(StrEnum):
    """A command's way through the mailbox; it leaves `pending` once, by the owner's
    taking or by a withdrawal.
    """

    PENDING = "pending"
    TAKEN = (
        "taken"  # the owner's alone: it will be answered, or is withdrawn if the owner dies before
    )
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    """A command to the runner. `arguments` and `answer` are JSON text; `deadline` microseconds."""

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
"""The answer in a row that no `runner` wrote; `runner.commands` reads it."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """Everything one turn of the loop wants committed at once. Mutable: it is filled,
    committed, and thrown away.

    `pruned` are the names of requests to delete, `ended` the ids of executions to
    delete, `records` whole lines for the outbox, `answers` JSON text by the id of a
    command that was taken. A command and what it changes belong into one batch: that is
    what makes it whole.
    """

    requests: dict[str, RequestRow] = field(default_factory=dict)
    executions: dict[str, ExecutionRow] = field(default_factory=dict)
    pruned: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(
            (
                self.requests,
                self.executions,
                self.pruned,
                self.ended,
                self.records,
                self.answers,
                self.meta,
            )
        )

    def joined(self, other: Batch) -> Batch:
        """Return both as one; for the same row the other's word counts."""
        return Batch(
            requests=self.requests | other.requests,
            executions=self.executions | other.executions,
            pruned=self.pruned + other.pruned,
            ended=self.ended + other.ended,
            records=self.records + other.records,
            answers=self.answers | other.answers,
            meta=self.meta | other.meta,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The content that a starting runner needs. `outbox` are the numbers of committed
    records of which nobody knows yet whether they reached the log; their lines are read
    a little at a time, for there may be very many.
    """

    requests: tuple[RequestRow, ...]
    executions: tuple[ExecutionRow, ...]
    outbox: range
    mark: Mark | None
    meta: dict[str, str]
