"""Executions without processes: claims are decided and carried out, and the test ends them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runner.execution.trees.watched import Exit
from runner.lifecycle import Channel
from runner.monitor.records import Record
from runner.planning.fires.claims_ahead import AHEAD
from runner.requests.model import Action, Group, Process, ProcessRequest, Reference, Shell, Source
from runner.service.executions.claiming.claims import Claims
from runner.service.executions.claiming.follow_ups import FollowUps
from runner.service.executions.execution import Ask, Execution
from runner.service.executions.in_progress import InProgress
from runner.service.executions.outcomes import Ended, Outcome, outcome_of
from runner.service.runner_settings import Settings
from runner.service.situation import Situation
from runner.store.rows import Batch

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIRECT = Ask(channel=Channel.DIRECT, by="maria")
FIRE = Ask(channel=Channel.PROCESS_SCHEDULER, generation=1)
SETTINGS = Settings(
    jobs=Path("/jobs.d"), state=Path("/state"), monitor_log=Path("/log"), zone="UTC"
)


def process(name: str, action: Action | None = None, **changes: Any) -> Process:
    """Return a process; without an action it is a shell line."""
    return Process(name=name, action=action or Shell(line="true"), directory="/jobs.d", **changes)


def request(name: str, action: Action | None = None, **changes: Any) -> ProcessRequest:
    """Return a request; its `changes` are those of its process, apart from what follows it."""
    following = {key: changes.pop(key, None) for key in ("on_success", "on_failure")}
    return ProcessRequest(
        name=name,
        process=process(name, action, **changes),
        timing=None,
        source=Source(file=f"{name}.yaml", line=1, sha256="0" * 64),
        **following,
    )


def group_of(*members: str, stop_on_failure: bool = False) -> Group:
    """Return a group whose members are the processes of other requests."""
    return Group(
        members=tuple(process(name, Reference(request=name)) for name in members),
        stop_on_failure=stop_on_failure,
    )


@dataclass
class ExecutionsWorld:
    """The table of executions in progress, and decisions about them."""

    requests: dict[str, ProcessRequest]
    settings: Settings = SETTINGS
    now: datetime = NOON
    in_progress: InProgress = field(default_factory=InProgress)
    records: list[Record] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    exited: list[Execution] = field(default_factory=list)
    """The executions whose process has ended."""
    batch: Batch = field(default_factory=Batch)

    @contextmanager
    def decision(
        self, *, is_closing: bool = False, starts_inherited: bool = True
    ) -> Iterator[Claims]:
        """Decide with the follow-ups of ended executions, then carry the decision out."""
        self.batch = Batch()
        claims = Claims(
            Situation(
                now=self.now,
                now_s=self.elapsed_s,
                is_closing=is_closing,
                starts_inherited=starts_inherited,
            ),
            in_progress=self.in_progress,
            batch=self.batch,
            settings=self.settings,
            record=self._record,
        )
        follow_ups = FollowUps(claims, self.requests, lambda ended, is_last: None)
        follow_ups.follow(self.ended)
        yield claims
        follow_ups.follow()
        self.ended.clear()
        claims.changes.apply()

    def claim(self, *names: str, ask: Ask = FIRE) -> list[Execution]:
        """Let waiting executions start, then claim a run of each request, in one decision."""
        with self.decision() as claims:
            claims.release_waiting()
            return [
                claims.claim(self.requests[name], self.requests, self.now, ask, git=None)[0]
                for name in names
            ]

    def claim_ahead(self, *names: str) -> list[Execution]:
        """Claim a run of each request a moment ahead of its time, if that is possible."""
        with self.decision() as claims:
            claims.release_waiting()
            return [
                claims.claim(self.requests[name], self.requests, self.now + AHEAD, FIRE, git=None)[
                    0
                ]
                for name in names
                if claims.can_claim_ahead(self.requests[name], self.requests)
            ]

    def turn(self) -> None:
        """Decide about nothing but what waits and what has ended."""
        with self.decision() as claims:
            claims.release_waiting()

    def end(self, name: str, *, exit_code: int = 0) -> None:
        """End the process that people call `name`, and decide what follows."""
        self.end_execution(self.running(name), exit_code=exit_code)

    def end_execution(self, execution: Execution, *, exit_code: int = 0) -> None:
        """End the process of an execution, and decide what follows."""
        exited = Exit(
            execution=execution.id,
            exit_code=exit_code,
            signal=None,
            stopped_for=None,
            cpu_s=None,
            max_rss_bytes=None,
        )
        self.end_as(execution, outcome_of(execution, exited))

    def end_as(self, execution: Execution, outcome: Outcome) -> None:
        """End an execution with an outcome, and decide what follows."""
        self.in_progress.leave(execution.id)
        self.exited.append(execution)
        self.ended.append(Ended(execution=execution, outcome=outcome, line=b"{}\n"))
        self.turn()

    def go_on(self, duration: timedelta) -> None:
        """Let time pass, and take a turn."""
        self.now += duration
        self.in_progress.release_claimed_ahead(self.elapsed_s)
        self.turn()

    @property
    def elapsed_s(self) -> float:
        """The time since noon."""
        return (self.now - NOON).total_seconds()

    def running(self, name: str) -> Execution:
        """Return the one process that people call `name` and that has begun."""
        (found,) = (
            each
            for each in self.in_progress
            if each.name == name and not each.phase.is_before_start and not each.is_group
        )
        return found

    def phases(self) -> dict[str, list[str]]:
        """Return the phases of the executions in progress by name, in order of entry."""
        found: dict[str, list[str]] = {}
        for each in self.in_progress:
            found.setdefault(each.name, []).append(each.phase.value)
        return found

    def finished(self) -> list[tuple[object, object, object]]:
        """Return process, status and reason of each record of an end, in order."""
        return [
            (fields["process"], fields["status"], fields["reason"])
            for event, fields in self.records
            if event == "execution.finished"
        ]

    def _record(self, record: Record) -> bytes:
        self.records.append(record)
        return b"{}\n"


def world(*requests: ProcessRequest, max_running: int | None = None) -> ExecutionsWorld:
    """Return a world with these requests and nothing in progress."""
    return ExecutionsWorld(
        requests={each.name: each for each in requests},
        settings=replace(SETTINGS, max_running=max_running),
    )
