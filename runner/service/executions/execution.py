"""An execution as a value, from its claim to its exit, and as a row of the store. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from runner.execution.output import Identity, below_outputs
from runner.lifecycle import Channel, Reason
from runner.monitor.names import is_called, shown_name
from runner.planning.overlap import Guard, guard_of
from runner.requests.building.process_json import process_from, process_text
from runner.requests.model import DEFAULT_QUEUE, Context, Group, Process, Source
from runner.store.rows import ExecutionRow, Phase
from runner.values import from_microseconds, to_microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The durable mark that a fire is taken, with all that any runner needs to execute it."""

    id: str
    request: str
    process: Process
    channel: Channel
    scheduled_for: datetime
    generation: int | None
    """The registration of the timing; None if no rule asked for this execution."""
    source: Source
    output_file: str
    context: Context = field(default_factory=Context)
    labels: Mapping[str, str] = field(default_factory=dict)
    """The request's labels, for the record; `owner` likewise."""
    owner: str | None = None
    attempt: int = 1
    """Counts from 1."""
    group: str | None = None
    """The id of the group execution that this member belongs to."""
    sequence: int = 0
    """The member's position in its group, from 1; 0 outside a group."""
    failed_before: int = 0
    """How many earlier members of the group failed."""
    within: tuple[str, ...] = ()
    """The requests of the groups around this member, the outermost first; they show a cycle."""
    on_success: str | None = None
    """The request whose process runs if this execution succeeds."""
    on_failure: str | None = None
    """The request whose process runs if this execution fails after its last attempt."""
    follows: str | None = None
    """The id of the execution whose `on_success` or `on_failure` runs this one."""
    chain: tuple[str, ...] = ()
    """The requests whose follow-ups led here, the first one first; they show a cycle."""
    extra_variables: Mapping[str, str] = field(default_factory=dict)
    """Variables for a follow-up: the record of the execution that it follows."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of the person who asked; they override the process's own."""
    requested_by: str | None = None
    """The person who asked for the execution, or who pressed Schedule or Reschedule."""
    git_commit: str | None = None
    """The revision of the jobs folder at the claim."""
    moved: str | None = None
    """In words, from where the calendar of the rule moved this fire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A demand for an execution: through which channel, by whom, and with what."""

    channel: Channel
    by: str | None = None
    """The person who asked, or who pressed Schedule or Reschedule."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of the person; they override the process's own."""
    generation: int | None = None
    """The registration of the timing; None if no rule asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One run of a claim and its progress.

    A group's execution has no process of its own: it runs from the claim of its first
    member to the end of its last one.
    """

    claim: Claim
    due: datetime
    """The earliest start; lateness counts from here."""
    not_before_s: float | None = field(default=None, compare=False)
    """The same in elapsed seconds, for a claim that was committed ahead of its time. Nobody
    can set that clock. Not in the row, as the last three.
    """
    phase: Phase = Phase.STARTING
    node: str | None = None
    """The host on which the process runs; `pid` belongs to it."""
    pid: int | None = None
    pid_started: int | None = None
    """When the process started, in clock ticks since the boot; it detects a reused `pid`."""
    started: datetime | None = None
    stopped_by: str | None = None
    """The person who asked for the stop."""
    stopped_for: Reason | None = None
    """Why the execution was asked to end."""
    body: str = field(repr=False, compare=False)
    """The part of the row that never changes, as JSON; written once."""
    is_inherited: bool = field(default=False, compare=False)
    """Whether a former runner claimed it, or claimed what it follows."""
    begun_s: float | None = field(default=None, compare=False)
    """When this runner started the process, in elapsed seconds; None for an adopted one."""
    output: Identity | None = field(default=None, compare=False)
    """The output file that this runner created."""
    clock_shift: timedelta = field(default=timedelta(), compare=False)
    """By how much the clock stepped while a former runner had it in progress."""

    @property
    def id(self) -> str:
        """The execution's id, which is the claim's."""
        return self.claim.id

    @property
    def request(self) -> str:
        """The name of the executed request; a member has its group's."""
        return self.claim.request

    @property
    def name(self) -> str:
        """The name that people see: the request's, or `group › member`."""
        return shown_name(self.request, self.process.name, is_member=self.claim.group is not None)

    def is_called(self, name: str) -> bool:
        """Return whether people may call it `name`: a member has its own name and its group's."""
        return is_called(
            name, self.request, self.process.name, is_member=self.claim.group is not None
        )

    @property
    def process(self) -> Process:
        """The process that runs."""
        return self.claim.process

    @property
    def is_group(self) -> bool:
        """Whether it has members instead of a process."""
        return isinstance(self.claim.process.action, Group)

    @property
    def queue(self) -> str:
        """The queue whose workers may run it."""
        return self.claim.process.queue or DEFAULT_QUEUE

    @property
    def guard(self) -> Guard | None:
        """The concurrency guard that it holds from claim to end; None without one."""
        return guard_of(self.claim.process, self.claim.context)


def execution_for(
    claim: Claim,
    *,
    due: datetime,
    not_before_s: float | None = None,
    phase: Phase = Phase.STARTING,
    follows: Execution | None = None,
) -> Execution:
    """Return the execution of a new claim.

    What `follows` an inherited execution is inherited as well.
    """
    is_inherited = follows is not None and follows.is_inherited
    return Execution(
        claim=claim,
        due=due,
        not_before_s=not_before_s,
        phase=phase,
        body=_body(claim),
        is_inherited=is_inherited,
    )


def time_left_s(execution: Execution, now: datetime) -> float | None:
    """Return how many seconds of an execution's timeout are left; None without a timeout.

    Across a restart only wall time is known, and the steps that a runner saw. If somebody
    set the clock back in between, the execution may seem to have run for less than nothing;
    then the whole timeout is left.
    """
    timeout = execution.process.timeout
    if timeout is None or execution.started is None:
        return None if timeout is None else timeout.total_seconds()
    ran_s = max((now - execution.started - execution.clock_shift).total_seconds(), 0.0)
    return max(timeout.total_seconds() - ran_s, 0.0)


def row_of(execution: Execution) -> ExecutionRow:
    """Return the execution's row; its body holds whatever the store need not understand."""
    claim = execution.claim
    return ExecutionRow(
        id=claim.id,
        request=claim.request,
        generation=claim.generation,
        scheduled_for=to_microseconds(claim.scheduled_for),
        attempt=claim.attempt,
        sequence=claim.sequence,
        phase=execution.phase,
        node=execution.node,
        pid=execution.pid,
        pid_started=execution.pid_started,
        body=execution.body,
        started=None if execution.started is None else to_microseconds(execution.started),
        stopped_by=execution.stopped_by,
        stopped_for=execution.stopped_for,
        due=to_microseconds(execution.due),
        group_id=claim.group,
        queue=execution.queue,
    )


def execution_of(row: ExecutionRow, outputs: Path | None = None) -> Execution:
    """Return the execution of a row.

    `outputs` is the outputs folder. Without it, `output_file` is relative to that folder.
    """
    body = json.loads(row.body)
    claim = _claim(row, body["claim"], process_from(json.dumps(body["process"])))
    if outputs is not None:
        claim = replace(claim, output_file=str(outputs / claim.output_file))
    return Execution(
        claim=claim,
        due=from_microseconds(row.due),
        phase=row.phase,
        node=row.node,
        pid=row.pid,
        pid_started=row.pid_started,
        started=None if row.started is None else from_microseconds(row.started),
        stopped_by=row.stopped_by,
        stopped_for=None if row.stopped_for is None else Reason(row.stopped_for),
        body=row.body,
        is_inherited=True,
    )


_PLAIN = (
    "output_file",
    "failed_before",
    "within",
    "on_success",
    "on_failure",
    "follows",
    "chain",
    "extra_variables",
    "params",
    "requested_by",
    "git_commit",
    "labels",
    "owner",
    "moved",
)


def _body(claim: Claim) -> str:
    source, context = claim.source, claim.context
    # Most are empty. Without those, the row is half as long, and written in half the time.
    body = {name: value for name in _PLAIN if (value := getattr(claim, name)) or value == ""}
    # Relative, so that a state folder may be moved, and another host may have it elsewhere.
    body["output_file"] = below_outputs(claim.output_file)
    body["channel"] = claim.channel
    body["source"] = (source.file, source.line, source.sha256)
    body["context"] = (context.client, context.organization)
    return f'{{"process":{process_text(claim.process)},"claim":{json.dumps(body)}}}'


def _claim(row: ExecutionRow, body: Mapping[str, Any], process: Process) -> Claim:
    file, line, sha256 = body["source"]
    client, organization = body["context"]
    return Claim(
        id=row.id,
        request=row.request,
        process=process,
        channel=Channel(body["channel"]),
        scheduled_for=from_microseconds(row.scheduled_for),
        generation=row.generation,
        source=Source(file=file, line=line, sha256=sha256),
        context=Context(client=client, organization=organization),
        attempt=row.attempt,
        group=row.group_id,
        sequence=row.sequence,
        within=tuple(body.get("within", ())),
        chain=tuple(body.get("chain", ())),
        **{name: body[name] for name in _PLAIN if name in body.keys() - {"within", "chain"}},
    )
