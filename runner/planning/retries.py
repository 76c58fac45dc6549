"""Decide whether, and when, a failed execution is retried. Pure."""

from __future__ import annotations

from datetime import timedelta

from runner.lifecycle import ExecutionStatus, Reason
from runner.requests.model import Retry

_RETRIED = frozenset(
    {
        Reason.EXIT_CODE,
        Reason.SIGNAL,
        Reason.TIMEOUT,
        Reason.OUTPUT_LIMIT,
        Reason.MEMORY_LIMIT,
        Reason.STDERR,
        Reason.OUTPUT,
        Reason.CONDITION,
        Reason.SPAWN_FAILED,
        Reason.MEMBER_FAILED,
    }
)
"""Failures of the process itself.

The other executions ended on purpose: replaced, killed by a person, or stopped.
"""

_LONGEST = timedelta(days=365)


def retry_delay(
    retry: Retry | None,
    *,
    attempt: int,
    status: ExecutionStatus,
    reason: Reason | None,
    exit_code: int | None,
) -> timedelta | None:
    """Return the delay from the end of an attempt to the next one; None for no retry.

    >>> thrice = Retry(attempts=3, delay=timedelta(seconds=10), backoff=2)
    >>> failure = {"status": ExecutionStatus.ERROR, "reason": Reason.EXIT_CODE, "exit_code": 1}
    >>> retry_delay(thrice, attempt=2, **failure).seconds
    20
    """
    if (
        retry is None
        or attempt >= retry.attempts
        or status is not ExecutionStatus.ERROR
        or reason not in _RETRIED
    ):
        return None
    if retry.exit_codes is not None and exit_code not in retry.exit_codes:
        return None
    longest = retry.max_delay or _LONGEST
    try:
        return min(retry.delay * retry.backoff ** (attempt - 1), longest)
    except OverflowError:
        return longest
