"""Whether a failed execution is retried, and when."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.lifecycle import ExecutionStatus, Reason
from runner.planning.retries import retry_delay
from runner.requests.model import Retry

_ERROR = ExecutionStatus.ERROR


def _after_failure(
    retry: Retry | None, attempt: int, exit_code: int | None = 1
) -> timedelta | None:
    return retry_delay(
        retry, attempt=attempt, status=_ERROR, reason=Reason.EXIT_CODE, exit_code=exit_code
    )


def test_attempts_counts_the_first_one_too() -> None:
    thrice = Retry(attempts=3, delay=timedelta(seconds=5))
    assert [_after_failure(thrice, attempt) for attempt in (1, 2, 3)] == [
        timedelta(seconds=5)
    ] * 2 + [None]


def test_the_delay_grows_by_backoff_up_to_its_longest() -> None:
    retry = Retry(
        attempts=9, delay=timedelta(seconds=10), backoff=3, max_delay=timedelta(minutes=2)
    )
    delays = [timedelta(seconds=seconds) for seconds in (10, 30, 90, 120, 120)]
    assert [_after_failure(retry, attempt) for attempt in (1, 2, 3, 4, 5)] == delays


def test_only_the_listed_exit_codes_are_retried() -> None:
    retry = Retry(attempts=2, exit_codes=frozenset({75}))
    assert _after_failure(retry, 1, 75) is not None
    assert _after_failure(retry, 1, 1) is None
    assert _after_failure(retry, 1, None) is None


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (ExecutionStatus.SUCCESS, None),
        (ExecutionStatus.SKIPPED, Reason.CONCURRENT),
        (ExecutionStatus.KILLED, Reason.KILLED_BY_USER),
        (ExecutionStatus.KILLED, Reason.REPLACED),
        (ExecutionStatus.KILLED, Reason.RUNNER_STOPPED),
        (ExecutionStatus.SYSTEM_RESTART, Reason.RUNNER_LOST),
        (ExecutionStatus.MISFIRED, Reason.MISSED),
    ],
)
def test_an_execution_that_ended_on_purpose_is_not_retried(
    status: ExecutionStatus, reason: Reason | None
) -> None:
    assert (
        retry_delay(Retry(attempts=5), attempt=1, status=status, reason=reason, exit_code=None)
        is None
    )


@given(
    attempt=st.integers(1, 999),
    delay=st.timedeltas(timedelta(), timedelta(days=999)),
    backoff=st.floats(1, 1e300),
    longest=st.none() | st.timedeltas(timedelta(), timedelta(days=999)),
)
def test_any_numbers_give_a_delay_within_the_limit(
    attempt: int, delay: timedelta, backoff: float, longest: timedelta | None
) -> None:
    later = _after_failure(
        Retry(attempts=1000, delay=delay, backoff=backoff, max_delay=longest), attempt
    )
    assert later is not None
    assert timedelta() <= later <= (longest or timedelta(days=999))
