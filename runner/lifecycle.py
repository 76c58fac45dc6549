"""The statuses, reasons, channels and checks, and the legal transitions between them. Pure.

The names come from Openbravo (Process Request and Process Monitor) where it has them.
"""

from __future__ import annotations

from enum import StrEnum


class RequestStatus(StrEnum):
    """The status of a registered request.

    `invalid` is missing here because it describes the request's file, not its state.
    """

    SCHEDULED = "scheduled"
    UNSCHEDULED = "unscheduled"
    COMPLETE = "complete"
    SYSTEM_RESTART = "system_restart"
    DEFINITION = "definition"


INVALID = "invalid"
"""What commands show as the status of a request whose file is invalid."""
NO_MORE_FIRES = "no more fires"
"""How a person reads `complete`."""


class RequestEvent(StrEnum):
    """What can happen to a request."""

    SCHEDULE = "schedule"
    UNSCHEDULE = "unschedule"
    RESCHEDULE = "reschedule"
    EXHAUST = "exhaust"  # the last fire is settled
    REVIVE = "revive"  # a later finish or a new rule adds fires
    CUT_OFF = "cut_off"  # a restart interrupted the only execution of a one-time request
    LOSE_TIMING = "lose_timing"  # the file no longer has a timing


class ExecutionStatus(StrEnum):
    """The status of an execution. All but `processing` are final."""

    PROCESSING = "processing"
    SUCCESS = "success"
    ERROR = "error"
    KILLED = "killed"
    MISFIRED = "misfired"
    SYSTEM_RESTART = "system_restart"
    SKIPPED = "skipped"


class Reason(StrEnum):
    """Why an execution has the status it has."""

    EXIT_CODE = "exit_code"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    OUTPUT_LIMIT = "output_limit"
    MEMORY_LIMIT = "memory_limit"
    STDERR = "stderr"
    OUTPUT = "output"
    SPAWN_FAILED = "spawn_failed"
    CONCURRENT = "concurrent"
    CONDITION = "condition"
    UNSCHEDULED = "unscheduled"
    REPLACED = "replaced"
    KILLED_BY_USER = "killed_by_user"
    RUNNER_STOPPED = "runner_stopped"
    RUNNER_LOST = "runner_lost"
    MISSED = "missed"
    MEMBER_FAILED = "member_failed"
    PAUSED = "paused"


class Channel(StrEnum):
    """Who asked for an execution."""

    PROCESS_SCHEDULER = "process_scheduler"
    DIRECT = "direct"
    GROUP = "group"
    RETRY = "retry"
    BACKFILL = "backfill"


class Misfire(StrEnum):
    """What the runner does with fires that it did not claim within their grace."""

    SKIP = "skip"
    FIRE_ONCE = "fire_once"
    FIRE_ALL = "fire_all"


class OnOverlap(StrEnum):
    """What the runner does with a fire while another execution holds its guard."""

    REFUSE = "refuse"
    QUEUE = "queue"
    REPLACE = "replace"


class IfInterrupted(StrEnum):
    """What the next runner does, besides the record, with an interrupted execution."""

    RECORD = "record"
    RERUN = "rerun"


class Check(StrEnum):
    """What the runner watches about a request, or about itself. An alert is an open check."""

    FAILURE = "failure"
    MISSED = "missed"
    LATE_START = "late_start"
    LATE = "late"
    OVERRUN = "overrun"
    ABSENT = "absent"
    INVALID = "invalid"
    SKIPPED = "skipped"
    # The runner's own.
    STORE = "store"
    LOG = "log"
    DISK = "disk"
    CLOCK = "clock"
    RELOAD = "reload"
    QUEUE = "queue"


def status_words(status: str) -> str:
    """Return a status as a person reads it.

    `complete` would look like the end of an execution, while the last one may still run.
    """
    return NO_MORE_FIRES if status == "complete" else status


class IllegalTransitionError(AssertionError):
    """A transition that is not in the tables. Always a bug in the runner."""


_S, _E = RequestStatus, RequestEvent
_TRANSITIONS: dict[tuple[RequestStatus, RequestEvent], RequestStatus] = {
    (_S.SCHEDULED, _E.SCHEDULE): _S.SCHEDULED,
    (_S.SCHEDULED, _E.UNSCHEDULE): _S.UNSCHEDULED,
    (_S.SCHEDULED, _E.RESCHEDULE): _S.SCHEDULED,
    (_S.SCHEDULED, _E.EXHAUST): _S.COMPLETE,
    (_S.SCHEDULED, _E.CUT_OFF): _S.SYSTEM_RESTART,
    (_S.SCHEDULED, _E.LOSE_TIMING): _S.DEFINITION,
    (_S.UNSCHEDULED, _E.SCHEDULE): _S.SCHEDULED,
    (_S.UNSCHEDULED, _E.UNSCHEDULE): _S.UNSCHEDULED,
    (_S.UNSCHEDULED, _E.RESCHEDULE): _S.SCHEDULED,
    (_S.UNSCHEDULED, _E.LOSE_TIMING): _S.DEFINITION,
    (_S.COMPLETE, _E.SCHEDULE): _S.SCHEDULED,
    (_S.COMPLETE, _E.UNSCHEDULE): _S.UNSCHEDULED,
    (_S.COMPLETE, _E.RESCHEDULE): _S.SCHEDULED,
    (_S.COMPLETE, _E.REVIVE): _S.SCHEDULED,
    (_S.COMPLETE, _E.CUT_OFF): _S.SYSTEM_RESTART,
    (_S.COMPLETE, _E.LOSE_TIMING): _S.DEFINITION,
    (_S.SYSTEM_RESTART, _E.SCHEDULE): _S.SCHEDULED,
    (_S.SYSTEM_RESTART, _E.UNSCHEDULE): _S.UNSCHEDULED,
    (_S.SYSTEM_RESTART, _E.RESCHEDULE): _S.SCHEDULED,
    (_S.SYSTEM_RESTART, _E.REVIVE): _S.SCHEDULED,
    (_S.SYSTEM_RESTART, _E.LOSE_TIMING): _S.DEFINITION,
    (_S.DEFINITION, _E.SCHEDULE): _S.SCHEDULED,
    (_S.DEFINITION, _E.UNSCHEDULE): _S.UNSCHEDULED,
    (_S.DEFINITION, _E.LOSE_TIMING): _S.DEFINITION,
}


_X, _R = ExecutionStatus, Reason
_ENDS: dict[ExecutionStatus, frozenset[Reason | None]] = {
    _X.PROCESSING: frozenset(),
    _X.SUCCESS: frozenset({None}),
    _X.ERROR: frozenset(
        {
            _R.EXIT_CODE,
            _R.SIGNAL,
            _R.TIMEOUT,
            _R.OUTPUT_LIMIT,
            _R.MEMORY_LIMIT,
            _R.STDERR,
            _R.OUTPUT,
            _R.CONDITION,
            _R.SPAWN_FAILED,
            _R.MEMBER_FAILED,
        }
    ),
    _X.KILLED: frozenset({_R.KILLED_BY_USER, _R.REPLACED, _R.RUNNER_STOPPED}),
    _X.MISFIRED: frozenset({_R.MISSED}),
    _X.SYSTEM_RESTART: frozenset({_R.RUNNER_LOST}),
    _X.SKIPPED: frozenset(
        {_R.CONCURRENT, _R.CONDITION, _R.UNSCHEDULED, _R.PAUSED, _R.KILLED_BY_USER}
    ),
}
"""The final statuses, each with the reasons that may refine it."""


def check_end(status: ExecutionStatus, reason: Reason | None) -> None:
    """Check that an execution may end with `status` for `reason`.

    Raises IllegalTransitionError if the table does not allow it.

    >>> check_end(ExecutionStatus.SKIPPED, Reason.CONCURRENT)
    """
    if reason not in _ENDS[status]:
        raise IllegalTransitionError(f"an execution cannot end as {status} with reason {reason}")


def after(status: RequestStatus, event: RequestEvent) -> RequestStatus:
    """Return the status that follows `event`.

    Raises IllegalTransitionError if the table does not allow the event.

    >>> after(RequestStatus.SCHEDULED, RequestEvent.EXHAUST)
    <RequestStatus.COMPLETE: 'complete'>
    """
    try:
        return _TRANSITIONS[status, event]
    except KeyError:
        raise IllegalTransitionError(
            f"{event} is not possible for a request that is {status}"
        ) from None
