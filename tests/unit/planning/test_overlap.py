"""Whether a claimed execution may start now."""

from __future__ import annotations

import pytest

from runner.lifecycle import OnOverlap
from runner.planning.overlap import Guard, Verdict, verdict

_REFUSE, _QUEUE, _REPLACE = OnOverlap


@pytest.mark.parametrize("has_room", [True, False])
@pytest.mark.parametrize("policy", OnOverlap)
def test_with_a_free_guard_only_max_running_decides(policy: OnOverlap, has_room: bool) -> None:
    expected = Verdict.RUN if has_room else Verdict.WAIT
    assert (
        verdict(is_guard_held=False, is_queue_closed=False, on_overlap=policy, has_room=has_room)
        is expected
    )


@pytest.mark.parametrize("has_room", [True, False])  # it is decided now, not after a wait for room
@pytest.mark.parametrize(
    ("policy", "is_queued_for", "expected"),
    [
        (_REFUSE, False, Verdict.REFUSE),
        (_REFUSE, True, Verdict.REFUSE),
        (_QUEUE, False, Verdict.QUEUE),
        (_QUEUE, True, Verdict.REFUSE),  # the queue holds one
        (_REPLACE, False, Verdict.REPLACE),
        (_REPLACE, True, Verdict.REPLACE),
    ],
)
def test_with_a_held_guard_on_overlap_decides(
    policy: OnOverlap, is_queued_for: bool, expected: Verdict, has_room: bool
) -> None:
    decided = verdict(
        is_guard_held=True, is_queue_closed=is_queued_for, on_overlap=policy, has_room=has_room
    )
    assert decided is expected


def test_a_guard_is_process_client_and_organization_and_nothing_else() -> None:
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
