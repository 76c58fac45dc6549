"""The tokens of takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.worker.deliveries import take_for, token_of

JOBS = st.integers(1, 2**63 - 1)


@given(JOBS, JOBS)
def test_the_token_of_a_later_job_is_higher(first: int, second: int) -> None:
    assert (token_of(take_for(first)) < token_of(take_for(second))) == (first < second)


@given(JOBS)
def test_two_takes_by_one_job_differ(job: int) -> None:
    assert take_for(job) != take_for(job)
    assert token_of(take_for(job)) == job
