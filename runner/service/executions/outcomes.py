"""How an execution ended, in the words of the monitor log. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from signal import SIGXCPU, Signals
from typing import TYPE_CHECKING, assert_never

from runner.errors import RefusedError
from runner.execution.executor import Lost, Stage
from runner.lifecycle import ExecutionStatus, Reason, check_end
from runner.planning.followed_references import followed
from runner.requests.model import Process, ProcessRequest
from runner.values import counted, duration_text

if TYPE_CHECKING:
    from runner.execution.trees.watched import Exit
    from runner.service.executions.execution import Execution

_KILLED, _ERROR = ExecutionStatus.KILLED, ExecutionStatus.ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An execution's final status and reason, with the measurements of its process."""

    status: ExecutionStatus
    reason: Reason | None
    message: str | None
    exit_code: int | None = None
    signal: int | None = None
    cpu_s: float | None = None
    max_rss_bytes: int | None = None

    def __post_init__(self) -> None:
        """Raise IllegalTransitionError if the reason does not belong to the status: a bug."""
        check_end(self.status, self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An execution that has ended, with the text of its record.

    A retry, the next member of a group, or the process of `on_success` or `on_failure` may
    follow it.
    """

    execution: Execution
    outcome: Outcome
    line: bytes


SKIPPED = Outcome(
    status=ExecutionStatus.SKIPPED,
    reason=Reason.CONCURRENT,
    message="Concurrent attempt to execute",
)
UNSCHEDULED = Outcome(
    status=ExecutionStatus.SKIPPED,
    reason=Reason.UNSCHEDULED,
    message="the member says `scheduled: false`",
)
"""For a member that its group passes over: neither a success nor a failure."""

WITHDRAWN = Outcome(
    status=ExecutionStatus.SKIPPED,
    reason=Reason.UNSCHEDULED,
    message="unscheduled or planned anew just before its time",
)


def _lost(message: str) -> Outcome:
    """Return the outcome of an execution whose runner ended first."""
    return Outcome(
        status=ExecutionStatus.SYSTEM_RESTART, reason=Reason.RUNNER_LOST, message=message
    )


LOST = _lost("the runner ended while the process ran; the exit code is unknown")
LOST_AT_START = _lost(
    "the runner ended while it was starting the process, which may or may not have run"
)
NEVER_STARTED = _lost("the runner ended before it could start this; it never ran")
OUTLIVED = _lost("the process outlived the runner that started it; its exit code is unknown")
STOPPED_BEFORE_START = Outcome(
    status=_KILLED,
    reason=Reason.RUNNER_STOPPED,
    message="the runner stopped before it could start the process",
)
GROUP_SUCCEEDED = Outcome(status=ExecutionStatus.SUCCESS, reason=None, message=None)


def lost(event: Lost) -> Outcome:
    """Return the outcome of an execution whose worker was lost."""
    worker = f"the worker {event.node}" if event.node else "the worker"
    match event.stage:
        case Stage.NEVER_STARTED:
            return _lost(f"{worker} was lost before it could start this; it never ran")
        case Stage.STARTING:
            return _lost(
                f"{worker} was lost while it was starting the process, which may or may not have"
                " run"
            )
        case Stage.RUNNING:
            return _lost(f"{worker} was lost while the process ran; the exit code is unknown")
        case _:
            assert_never(event.stage)


def spawn_failure(message: str) -> Outcome:
    """Return the outcome of an execution whose process could not be started."""
    return Outcome(status=_ERROR, reason=Reason.SPAWN_FAILED, message=message)


def resolved(
    request: ProcessRequest, requests: Mapping[str, ProcessRequest]
) -> tuple[Process, Outcome | None]:
    """Return the process that a request runs, with its references followed.

    If a reference leads nowhere, return the failure as well.
    """
    try:
        return followed(request, requests), None
    except RefusedError as error:
        return request.process, spawn_failure(str(error))


def members_failed(failed: int, sequence: int, count: int) -> Outcome:
    """Return the outcome of a group of `count` members that ended after member `sequence`."""
    left = count - sequence
    unrun = f"; {left} more did not run" if left else ""
    return Outcome(
        status=_ERROR,
        reason=Reason.MEMBER_FAILED,
        message=f"{failed} of {counted(sequence, 'member')} failed{unrun}",
    )


def cut_off_group(member: str, left: int) -> Outcome:
    """Return the outcome of a group whose member's end is unknown; `left` members remain."""
    message = f"the runner ended while member {member} ran" + (
        f"; {left} more did not run" if left else ""
    )
    return _lost(message)


def stopped(execution: Execution, reason: Reason, by: str | None) -> Outcome:
    """Return the outcome of a stopped execution that has no process, or never got one."""
    status, message = _judge_stop(execution, reason, by)
    if execution.started is None:
        message = f"{message} while it waited to start"
    return Outcome(status=status, reason=reason, message=message)


def outcome_of(execution: Execution, exited: Exit) -> Outcome:
    """Return the outcome of a process that this runner started.

    If the runner stopped the process, that reason counts, even after exit code 0.
    """
    status, reason, message = _judge(execution, exited)
    return Outcome(
        status=status,
        reason=reason,
        message=message,
        exit_code=exited.exit_code,
        signal=exited.signal,
        cpu_s=exited.cpu_s,
        max_rss_bytes=exited.max_rss_bytes,
    )


def _judge(execution: Execution, exited: Exit) -> tuple[ExecutionStatus, Reason | None, str | None]:
    if exited.failure is not None:
        whose = "" if exited.condition is None else "its condition: "
        return _ERROR, Reason.SPAWN_FAILED, f"{whose}{exited.failure}"
    if exited.stopped_for is None and exited.condition is None:
        return _judge_own_end(execution, exited)
    if exited.stopped_for is None:
        return _judge_condition(exited.condition)
    status, message = _judge_stop(execution, exited.stopped_for, execution.stopped_by)
    return status, exited.stopped_for, message


def _judge_condition(failure: str | None) -> tuple[ExecutionStatus, Reason, str]:
    """Return the end of an execution whose condition was not met, or failed."""
    if failure:
        return _ERROR, Reason.CONDITION, f"its condition {failure}"
    return ExecutionStatus.SKIPPED, Reason.CONDITION, "its condition was not met"


def _judge_stop(
    execution: Execution, reason: Reason, by: str | None
) -> tuple[ExecutionStatus, str | None]:
    """Return the status and the message for a stop by the runner."""
    match reason:
        case Reason.TIMEOUT:
            # A process's own timeout is enforced without a decision, so `stopped_for`
            # stays unset. If it says TIMEOUT, the timeout was the group's.
            is_of_group = execution.stopped_for is Reason.TIMEOUT and not execution.is_group
            timeout = None if is_of_group else execution.process.timeout
            whose = (
                f"its timeout of {duration_text(timeout)}"
                if timeout
                else "the timeout of its group"
            )
            return _ERROR, f"stopped after {whose}"
        case Reason.OUTPUT_LIMIT:
            return _ERROR, "stopped because its output exceeded `output_limit`"
        case Reason.MEMORY_LIMIT:
            return _ERROR, "ended by the system because its memory exceeded `limits.memory`"
        case Reason.KILLED_BY_USER:
            return _KILLED, f"killed by {by or 'a person'}"
        case Reason.REPLACED:
            return _KILLED, "replaced by a later execution"
        case Reason.RUNNER_STOPPED:
            return _KILLED, "ended because the runner stopped"
        case _:
            return _ERROR, None


def _judge_own_end(
    execution: Execution, exited: Exit
) -> tuple[ExecutionStatus, Reason | None, str | None]:
    success = execution.process.success
    if exited.signal is not None:
        limits = execution.process.limits
        is_spent = exited.signal == SIGXCPU and limits is not None and limits.cpu is not None
        why = " because it used up `limits.cpu`" if is_spent else ""
        return _ERROR, Reason.SIGNAL, f"ended by signal {_signal_name(exited.signal)}{why}"
    if exited.exit_code not in success.exit_codes:
        return _ERROR, Reason.EXIT_CODE, exited.result or _exit_words(exited.exit_code)
    if success.fail_on_stderr and exited.has_stderr:
        return _ERROR, Reason.STDERR, "it wrote to standard error"
    if exited.failing_text is not None:
        return _ERROR, Reason.OUTPUT, f"its output contains `{exited.failing_text}`"
    return ExecutionStatus.SUCCESS, None, exited.result


def _signal_name(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:
        return str(number)


def _exit_words(code: int | None) -> str:
    return "exit code 0 is not among `success.exit_codes`" if code == 0 else f"exit code {code}"
