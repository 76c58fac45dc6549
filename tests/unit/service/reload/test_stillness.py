"""When a folder that changes is still enough to be read."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.lifecycle import IllegalTransitionError
from runner.service.reload.stillness import (
    GLANCE_EVERY_S,
    GLANCE_S,
    LATE_S,
    LONGEST_QUIET_S,
    PATIENCE_S,
    QUIET_S,
    RETRY_S,
    FolderState,
    Stillness,
)

BEGIN_S = 1000.0


def restless(*changes_s: float) -> Stillness:
    stillness = Stillness()
    for change_s in changes_s or (0.0,):
        stillness.note_change(BEGIN_S + change_s)
    return stillness


def ready_after_s(stillness: Stillness, *, is_watched: bool = True) -> float | None:
    ready_at_s = stillness.ready_at_s(is_watched=is_watched)
    return None if ready_at_s is None else round(ready_at_s - BEGIN_S, 6)


def test_a_quiet_folder_is_never_ready() -> None:
    stillness = Stillness()
    assert stillness.is_quiet
    assert stillness.ready_at_s(is_watched=True) is None
    assert stillness.glance_at_s is None


def test_a_changed_folder_is_ready_after_a_moment_of_quiet() -> None:
    stillness = restless(0.0)
    assert ready_after_s(stillness) == QUIET_S
    assert stillness.glance_at_s == BEGIN_S + GLANCE_S
    assert not stillness.is_ready(BEGIN_S + QUIET_S - 0.001, is_watched=True)
    assert stillness.is_ready(BEGIN_S + QUIET_S, is_watched=True)


@pytest.mark.parametrize(
    ("series_s", "quiet_s"), [(0.2, QUIET_S), (0.8, 0.4), (5.0, LONGEST_QUIET_S)]
)
def test_a_longer_series_of_changes_needs_a_longer_quiet(series_s: float, quiet_s: float) -> None:
    assert ready_after_s(restless(0.0, series_s)) == pytest.approx(series_s + quiet_s)


def test_a_folder_that_never_falls_quiet_is_read_after_the_patience() -> None:
    changes_s = [step * 0.1 for step in range(100)]
    assert ready_after_s(restless(*changes_s)) == PATIENCE_S


def test_a_folder_without_notifications_needs_equal_glances() -> None:
    assert ready_after_s(restless(0.0), is_watched=False) == PATIENCE_S


def test_a_change_without_a_notification_needs_equal_glances() -> None:
    stillness = Stillness()
    stillness.note_change(BEGIN_S, is_notified=False)
    assert ready_after_s(stillness) == PATIENCE_S
    stillness.begin_reading()
    stillness.note_change(BEGIN_S)
    assert ready_after_s(stillness) == QUIET_S


def test_a_command_makes_the_folder_ready_at_once() -> None:
    stillness = Stillness()
    stillness.note_command(BEGIN_S)
    assert ready_after_s(stillness) == 0.0
    assert stillness.glance_at_s is None


def test_a_change_after_a_command_does_not_delay_the_reading() -> None:
    stillness = Stillness()
    stillness.note_command(BEGIN_S)
    stillness.note_change(BEGIN_S + 1)
    assert ready_after_s(stillness) == 0.0


def test_two_equal_glances_make_the_folder_ready() -> None:
    stillness = restless(0.0)
    for number in (1, 2):
        stillness.begin_glance()
        assert stillness.glance_at_s is None
        stillness.note_change(BEGIN_S + number)
        stillness.end_glance(BEGIN_S + number, is_different=False, is_watched=True)
    assert stillness.state is FolderState.STILL
    assert stillness.is_ready(BEGIN_S + 2, is_watched=True)


def test_a_glance_with_a_difference_asks_for_two_more_looks() -> None:
    stillness = restless(0.0)
    stillness.end_glance(BEGIN_S, is_different=True, is_watched=True)
    assert stillness.glance_at_s == BEGIN_S + GLANCE_EVERY_S
    stillness.end_glance(BEGIN_S, is_different=True, is_watched=True)
    assert not stillness.is_ready(BEGIN_S, is_watched=True)
    stillness.end_glance(BEGIN_S, is_different=False, is_watched=True)
    assert stillness.is_ready(BEGIN_S, is_watched=True)


def test_glances_follow_closely_while_nothing_is_notified() -> None:
    stillness = restless(0.0)
    stillness.end_glance(BEGIN_S, is_different=True, is_watched=False)
    assert stillness.glance_at_s == BEGIN_S + QUIET_S


def test_gits_lock_delays_the_reading_until_the_patience_is_over() -> None:
    stillness = restless(0.0)
    assert stillness.note_lock(BEGIN_S + QUIET_S)
    assert stillness.state is FolderState.HELD
    assert ready_after_s(stillness) == QUIET_S + RETRY_S
    assert stillness.note_lock(BEGIN_S + PATIENCE_S - 0.001)
    assert not stillness.note_lock(BEGIN_S + PATIENCE_S)


def test_changes_under_gits_lock_need_quiet_again() -> None:
    stillness = restless(0.0)
    stillness.note_lock(BEGIN_S + 1)
    stillness.note_change(BEGIN_S + 1.01)
    assert stillness.state is FolderState.RESTLESS
    assert ready_after_s(stillness) == pytest.approx(1.01 + 1.01 / 2)


def test_gits_lock_delays_a_command_without_cancelling_it() -> None:
    stillness = Stillness()
    stillness.note_command(BEGIN_S)
    stillness.note_lock(BEGIN_S)
    stillness.note_change(BEGIN_S + 0.01)
    assert ready_after_s(stillness) == RETRY_S


def test_gits_lock_delays_a_glance() -> None:
    stillness = restless(0.0)
    stillness.delay_glance(BEGIN_S)
    assert stillness.glance_at_s == BEGIN_S + RETRY_S


def test_a_look_in_time_confirms_that_the_folder_is_ready() -> None:
    now_s = BEGIN_S + QUIET_S + LATE_S
    assert restless(0.0).confirm(now_s, looked_at_s=BEGIN_S, is_watched=True)


def test_a_look_far_too_late_waits_for_quiet_once_more() -> None:
    stillness = restless(0.0)
    late_s = BEGIN_S + QUIET_S + 2 * LATE_S
    assert not stillness.confirm(late_s, looked_at_s=BEGIN_S, is_watched=True)
    again_s = stillness.ready_at_s(is_watched=True)
    assert again_s is not None
    assert again_s >= late_s + QUIET_S
    assert stillness.confirm(again_s + 1, looked_at_s=late_s, is_watched=True)


def test_a_late_look_leaves_a_command_in_force() -> None:
    stillness = Stillness()
    stillness.note_command(BEGIN_S)
    assert stillness.confirm(BEGIN_S + 5, looked_at_s=BEGIN_S, is_watched=True)


def test_a_reading_ends_the_series_of_changes() -> None:
    stillness = restless(0.0, 5.0)
    stillness.begin_reading()
    assert stillness.is_quiet
    assert stillness.glance_at_s is None
    stillness.note_change(BEGIN_S + 6)
    assert ready_after_s(stillness) == 6 + QUIET_S


def test_a_quiet_folder_can_neither_be_read_nor_held() -> None:
    with pytest.raises(IllegalTransitionError, match="in a folder that is quiet"):
        Stillness().begin_reading()
    with pytest.raises(IllegalTransitionError):
        Stillness().end_glance(BEGIN_S, is_different=False, is_watched=True)


EVENTS = st.lists(
    st.tuples(
        st.floats(0.0, 3.0), st.sampled_from(["change", "unnotified", "command", "glance", "lock"])
    ),
    min_size=1,
    max_size=60,
)


@given(EVENTS, st.booleans())
def test_no_series_of_events_delays_a_reading_beyond_the_patience(
    events: list[tuple[float, str]], is_watched: bool
) -> None:
    stillness, now_s = restless(0.0), BEGIN_S
    for wait_s, event in events:
        now_s += wait_s
        match event:
            case "lock":
                stillness.note_lock(now_s)
            case "command":
                stillness.note_command(now_s)
            case "glance":
                stillness.end_glance(now_s, is_different=wait_s > 1, is_watched=is_watched)
            case _:
                stillness.note_change(now_s, is_notified=event == "change")
        assert not stillness.is_quiet
        # The last hold begins before the patience is over and lasts for one retry.
        assert stillness.is_ready(BEGIN_S + PATIENCE_S + RETRY_S, is_watched=is_watched)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=50))
def test_a_folder_is_never_read_within_the_quiet_after_a_notified_change(
    waits_s: list[float],
) -> None:
    changes_s = [sum(waits_s[:count]) for count in range(len(waits_s))]
    stillness = Stillness()
    for before_s, change_s in pairwise([0.0, *changes_s]):
        stillness.note_change(BEGIN_S + max(before_s, change_s))
    ready_s = ready_after_s(stillness)
    assert ready_s is not None
    assert ready_s >= min(changes_s[-1] + QUIET_S, PATIENCE_S) - 1e-6
