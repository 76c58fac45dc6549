"""What the events of the monitor log say of executions, requests and the runner. Pure.

Each function of `events` makes a record of such facts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from runner.lifecycle import Channel, Check, ExecutionStatus, Reason, RequestStatus

if TYPE_CHECKING:
    from runner.requests.model import Context, Source


class ExecutionFacts(NamedTuple):
    """What is known of an execution as soon as its process has started.

    A tuple, because a frozen dataclass takes five times as long to make.
    """

    execution: str
    request: str
    process: str
    channel: Channel
    scheduled_for: datetime
    generation: int | None
    context: Context
    labels: Mapping[str, str]
    owner: str | None
    source: Source
    git_commit: str | None
    started: datetime | None = None
    lateness: timedelta | None = None
    attempt: int | None = None
    group: str | None = None
    sequence: int | None = None
    follows: str | None = None
    requested_by: str | None = None
    pid: int | None = None
    output_file: str | None = None
    node: str | None = None
    queue: str | None = None


class OutcomeFacts(NamedTuple):
    """How an execution ended."""

    status: ExecutionStatus
    reason: Reason | None
    message: str | None
    ended: datetime | None = None
    duration: timedelta | None = None
    exit_code: int | None = None
    signal: int | None = None
    cpu_s: float | None = None
    max_rss_bytes: int | None = None
    output_tail: str | None = None
    output_bytes: int | None = None
    output_truncated: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedSpan:
    """A span of missed fires: their number, and the first and the last of them."""

    count: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """A request after its status changed, or a rejected document that may hold one."""

    request: str | None
    channel: Channel = Channel.PROCESS_SCHEDULER
    status: RequestStatus | None = None
    generation: int | None = None
    drift: bool | None = None
    requested_by: str | None = None
    owner: str | None = None
    request_file: str | None
    request_sha256: str | None = None
    git_commit: str | None
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerFacts:
    """The runner at the time of an event. `requests` is the number of requests in force."""

    pid: int
    version: str
    jobs: str
    state: str
    git_commit: str | None
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedNames:
    """What a reading of the jobs folder changed: names of requests, and rejected files."""

    added: Collection[str]
    changed: Collection[str]
    removed: Collection[str]
    rejected: Collection[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFacts:
    """An alert when it opens or closes; `request` is None for the runner's own."""

    request: str | None
    check: Check
    since: datetime
    count: int
    execution: str | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationFacts:
    """An attempt to send a message; `alerts` are their names as `schemas/` explains them."""

    notification: str
    receiver: str
    attempt: int
    alerts: Collection[str]
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseFacts:
    """A pause: when it began, when it ends, and the names of its requests; None for all.

    `requested_by` is the person who began or ended it; None if its time was over.
    """

    begin: datetime
    end: datetime | None
    names: Collection[str] | None
    requested_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebChangeFacts:
    """A change that a person made on the page or through its API.

    `request` is the one request that it is about; `targets` is None for all requests.
    """

    request: str | None
    action: str
    targets: Collection[str] | None
    requested_by: str
    message: str | None
