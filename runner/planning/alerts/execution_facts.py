"""What the end of an execution means for the checks of its request. Pure."""

from __future__ import annotations

from runner.lifecycle import ExecutionStatus, Reason
from runner.planning.alerts.check_states import Fact

_UNCOUNTED_ENDS = frozenset({Reason.KILLED_BY_USER, Reason.REPLACED})
_COUNTED_SKIPS = frozenset({Reason.CONCURRENT, Reason.CONDITION})


def fact_of_end(
    status: ExecutionStatus, reason: Reason | None, *, is_by_person: bool
) -> Fact | None:
    """Return what the last attempt of an execution shows; None if it changes no check.

    A person who asked for an execution sees how it ends. So its failure alerts nobody, and
    its success counts: the trouble is over.
    """
    match status:
        case ExecutionStatus.SUCCESS:
            return Fact.SUCCEEDED
        case ExecutionStatus.ERROR | ExecutionStatus.SYSTEM_RESTART | ExecutionStatus.KILLED:
            return None if is_by_person or reason in _UNCOUNTED_ENDS else Fact.FAILED
        case ExecutionStatus.SKIPPED:
            return Fact.SKIPPED if reason in _COUNTED_SKIPS and not is_by_person else None
        case _:
            return None
