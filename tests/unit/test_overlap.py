"""May a claimed execution start now?"""

from __future__ import annotations

import pytest

from runner.planning.overlap import Guard, Verdict, verdict


@pytest.mark.parametrize(
    ("is_guard_held", "running", "max_running", "expected"),
    [
        (False, 0, None, Verdict.RUN),
        (False, 10_000, None, Verdict.RUN),
        (False, 3, 4, Verdict.RUN),
        (False, 4, 4, Verdict.WAIT),
        (False, 5, 4, Verdict.WAIT),
        (True, 0, None, Verdict.REFUSE),
        (True, 1, 4, Verdict.REFUSE),
        (True, 4, 4, Verdict.REFUSE),  # refused now, not after a wait
    ],
)
def test_the_guard_refuses_and_the_bound_makes_wait(
    is_guard_held: bool, running: int, max_running: int | None, expected: Verdict
):
    assert verdict(is_guard_held=is_guard_held, running=running, max_running=max_running) is expected


def test_a_guard_is_process_client_and_organization_and_nothing_else():
    guard = Guard(process="p", client="c", organization="o")
    assert {guard, Guard(process="p", client="c", organization="o")} == {guard}
    others = [
        Guard(process="q", client="c", organization="o"),
        Guard(process="p", client="d", organization="o"),
        Guard(process="p", client="c", organization="other"),
        Guard(process="p", client="c", organization=None),
        Guard(process="p", client=None, organization="o"),
    ]
    assert guard not in others
    assert len(set(others)) == len(others)
