"""Decides what follows the end of an execution.

That is another attempt, the next member of its group, or the process of `on_success` or
`on_failure`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from runner.lifecycle import Channel, ExecutionStatus, IfInterrupted, Reason
from runner.monitor.events import ON_FAILURE, ON_SUCCESS, follower
from runner.planning.followed_references import as_member
from runner.planning.retries import retry_delay
from runner.planning.states.results import FAILURES
from runner.requests.model import Group, Process, ProcessRequest, Reference
from runner.service.executions.claiming.claims import Claims
from runner.service.executions.execution import Claim, Execution, execution_for
from runner.service.executions.outcomes import (
    GROUP_SUCCEEDED,
    OUTLIVED,
    UNSCHEDULED,
    Ended,
    Outcome,
    cut_off_group,
    members_failed,
    resolved,
    spawn_failure,
    stopped,
)
from runner.store.rows import Phase

_INTERRUPTIONS = (Reason.RUNNER_LOST, Reason.RUNNER_STOPPED)


class FollowUps:
    """Works through the executions that end in one decision.

    A follow-up that it claims may itself end at once (skipped, or impossible to start)
    and have a follow-up of its own. So `follow` works on queues instead of recursing.
    """

    def __init__(
        self,
        claims: Claims,
        requests: Mapping[str, ProcessRequest],
        note_ended: Callable[[Ended, bool], None],
    ) -> None:
        """`note_ended` gets each end, and whether it was the last attempt."""
        self._claims = claims
        self._requests = requests
        self._note_ended = note_ended

    def follow(self, ended: Iterable[Ended] = ()) -> None:
        """Decide what follows `ended` and every execution that this decision began or ended.

        The loop ends: each pass consumes an entry, attempts and members are finite, a
        group or a chain that contains itself is refused.
        """
        claims = self._claims
        claims.ended.extend(ended)
        while claims.ended or claims.begun_groups:
            if claims.begun_groups:
                self._claim_member(claims.begun_groups.popleft(), sequence=1, failed=0)
            else:
                self._follow_one(claims.ended.popleft())

    def _follow_one(self, ended: Ended) -> None:
        # A retry comes first: an execution with attempts left has neither failed for its
        # group nor for `on_failure`. A group that is being stopped wants no more attempts.
        execution, outcome = ended.execution, ended.outcome
        group = self._group_of(execution)
        is_ending = group is not None and group.stopped_for is not None
        due = None if is_ending else _next_attempt(execution, outcome, self._claims.now)
        self._note_ended(ended, due is None)
        if due is not None:
            self._try_again(execution, due)
            return
        claim = execution.claim
        if claim.on_success is not None and outcome.status is ExecutionStatus.SUCCESS:
            self._claim_follow_up(ended, ON_SUCCESS, claim.on_success)
        if claim.on_failure is not None and outcome.status in FAILURES:
            self._claim_follow_up(ended, ON_FAILURE, claim.on_failure)
        # Look again: the process that follows may have replaced the group.
        if (group := self._group_of(execution)) is not None:
            self._go_on(group, execution, outcome)

    def _group_of(self, execution: Execution) -> Execution | None:
        group = execution.claim.group
        return None if group is None else self._claims.changes.find(group)

    def _try_again(self, execution: Execution, due: datetime) -> None:
        """Claim the next attempt. It keeps the guard while it waits for its time."""
        claims = self._claims
        again = claims.another(
            execution.claim, channel=Channel.RETRY, attempt=execution.claim.attempt + 1
        )
        claims.changes.put(execution_for(again, due=due, phase=Phase.WAITING, follows=execution))

    def _claim_follow_up(self, ended: Ended, key: str, target: str) -> None:
        """Claim the process of the request that `key`, `on_success` or `on_failure`, names.

        The claim counts as asked for, because no rule fired it; `requested_by` names the
        request that it follows. What follows it in turn depends on its own request.
        """
        former, request = ended.execution.claim, self._requests.get(target)
        process, failure = self._follow_up_process(former, key, target)
        source, labels, owner = former.source, former.labels, former.owner
        if request is not None:
            source, labels, owner = request.source, request.labels, request.owner
        record = ended.line.decode().rstrip("\n")
        variables = {"RUNNER_RECORD": record}
        if key == ON_FAILURE:
            variables["RUNNER_FAILED_RECORD"] = record
        claim = self._claims.another(
            former,
            request=target,
            process=process,
            channel=Channel.DIRECT,
            generation=None,
            attempt=1,
            source=source,
            labels=labels,
            owner=owner,
            on_success=request and request.on_success,
            on_failure=request and request.on_failure,
            follows=former.id,
            chain=(*former.chain, former.request),
            extra_variables=variables,
            requested_by=follower(key, former.request),
            moved=None,
        )
        self._admit(claim, failure, follows=ended.execution)

    def _follow_up_process(
        self, former: Claim, key: str, target: str
    ) -> tuple[Process, Outcome | None]:
        """Return the process that follows `former`, and the failure if it cannot run."""
        request = self._requests.get(target)
        if request is None:
            missing = Process(
                name=target, action=Reference(request=target), directory=former.process.directory
            )
            return missing, spawn_failure(f"there is no request {target!r} for `{key}`")
        way = (*former.chain, former.request, target)
        # No catalog has a cycle, but a reload may close one while a chain runs.
        if target in way[:-1]:
            words = f"it would follow itself without end: {' → '.join(way)}"
            return request.process, spawn_failure(words)
        return resolved(request, self._requests)

    def _go_on(self, group: Execution, member: Execution, outcome: Outcome) -> None:
        """Claim the next member of a group, or end the group.

        The cases are tried in order of precedence: a stop of the group, an interruption
        by the runner, the last member or a failure that ends the group, the next member.
        """
        action = group.process.action
        assert isinstance(action, Group)
        sequence, count = member.claim.sequence, len(action.members)
        has_failed = outcome.status is not ExecutionStatus.SUCCESS and not _is_neutral(outcome)
        failed = member.claim.failed_before + has_failed
        if group.stopped_for is not None:
            self._claims.end(group, stopped(group, group.stopped_for, group.stopped_by))
        elif outcome.reason in _INTERRUPTIONS:
            cut = cut_off_group(member.process.name, count - sequence)
            # How the member ended is unknown, so neither the next member nor a success is
            # justified: the group ends as interrupted.
            is_lost = outcome.reason is Reason.RUNNER_LOST
            self._claims.end(group, cut if is_lost else stopped(group, Reason.RUNNER_STOPPED, None))
        elif sequence == count or (failed and action.stop_on_failure):
            self._claims.end(
                group, members_failed(failed, sequence, count) if failed else GROUP_SUCCEEDED
            )
        else:
            self._claim_member(group, sequence=sequence + 1, failed=failed)

    def _claim_member(self, group: Execution, *, sequence: int, failed: int) -> None:
        """Claim the member at position `sequence` (from 1), after `failed` failed ones."""
        action = group.process.action
        assert isinstance(action, Group)
        declared = action.members[sequence - 1]
        within = (
            (*group.claim.within, group.request) if not group.claim.within else group.claim.within
        )
        # A reload may have closed a cycle of groups after this group began, so the check
        # is repeated here. A request that occurs twice in `within` contains itself.
        if isinstance(declared.action, Reference):
            within = (*within, declared.action.request)
        process, failure = self._member_process(group.process, declared)
        if not declared.scheduled:
            failure = UNSCHEDULED
        elif len(set(within)) < len(within):
            failure = spawn_failure(f"its group contains itself: {' → '.join(within)}")
        member = self._claims.another(
            group.claim,
            process=process,
            channel=Channel.GROUP,
            attempt=1,
            group=group.id,
            sequence=sequence,
            failed_before=failed,
            within=within,
            on_success=None,
            on_failure=None,
        )
        self._admit(member, failure, follows=group)

    def _admit(self, claim: Claim, failure: Outcome | None, *, follows: Execution) -> None:
        execution = execution_for(claim, due=self._claims.now, follows=follows)
        self._claims.admit(execution, failure)

    def _member_process(self, group: Process, member: Process) -> tuple[Process, Outcome | None]:
        """Return the process of a member, and the failure if its request is missing.

        A member that names a request inherits the group's settings where the request has
        none. An inline member inherited them when its file was read.
        """
        if not isinstance(member.action, Reference):
            return member, None
        name = member.action.request
        request = self._requests.get(name)
        if request is None:
            return replace(member, name=name), spawn_failure(f"there is no request {name!r}")
        process, failure = resolved(request, self._requests)
        return as_member(process, group), failure


def _is_neutral(outcome: Outcome) -> bool:
    """Return whether a member was skipped on purpose: neither a success nor a failure."""
    is_on_purpose = outcome.reason in (Reason.UNSCHEDULED, Reason.CONDITION)
    return outcome.status is ExecutionStatus.SKIPPED and is_on_purpose


def _next_attempt(execution: Execution, outcome: Outcome, now: datetime) -> datetime | None:
    """Return when the next attempt of a claim begins; None if there is none."""
    process = execution.process
    if outcome.reason in _INTERRUPTIONS and process.if_interrupted is IfInterrupted.RERUN:
        # An outlived process may have completed its work: it is not run a second time.
        return None if outcome is OUTLIVED else now
    delay = retry_delay(
        process.retry,
        attempt=execution.claim.attempt,
        status=outcome.status,
        reason=outcome.reason,
        exit_code=outcome.exit_code,
    )
    return None if delay is None else now + delay
