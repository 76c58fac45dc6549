"""What a receiver hears of an alert, over any history, and across restarts at any point."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.notices import NOON, change

from runner.notifying.notice import (
    GROUPING,
    Notice,
    Stage,
    after_message,
    after_silence,
    closed,
    counted,
    notice_in,
    opened,
    within_reach,
)
from runner.planning.alerts.alert import Change
from runner.requests.policies import Route


def stored(notice: Notice | None) -> Notice | None:
    """Return the notice as the next runner finds it."""
    return None if notice is None else notice_in(json.loads(notice.stored())["notice"])


def test_a_notice_is_due_when_its_group_is_complete() -> None:
    notice = opened(change(Change.OPENED), Route(to="ops"))
    assert notice.due == NOON + GROUPING
    assert notice.id == "nightly-posting/failure/1796040000000000@ops"
    assert (notice.facts.exit_code, notice.facts.owner) == (3, "finance")
    assert counted(notice, change(Change.COUNTED, count=2)).facts.count == 2


def test_an_open_alert_is_repeated_and_its_end_belongs_to_the_first_message() -> None:
    notice = after_message(opened(change(Change.OPENED), Route(to="ops")), "m1", NOON)
    assert notice is not None
    assert (notice.stage, notice.due) == (Stage.OPEN, NOON + timedelta(hours=24))
    notice = after_message(notice, "m2", notice.due)
    assert notice is not None
    assert notice.thread == "m1"
    end = closed(notice, change(Change.CLOSED, NOON + timedelta(days=3)))
    assert end is not None
    assert (end.stage, end.thread, end.facts.closing) == (
        Stage.CLOSING,
        "m1",
        "ended with status success",
    )
    assert end.due == NOON + timedelta(days=3) + GROUPING
    assert after_message(end, "m3", end.due) is None


def test_a_silenced_alert_that_is_still_open_is_repeated_when_the_silence_ends() -> None:
    notice = after_message(opened(change(Change.OPENED), Route(to="ops")), "m1", NOON)
    assert notice is not None
    hour = timedelta(hours=1)
    assert after_silence(notice, NOON + hour, NOON).due == NOON + hour
    assert after_silence(notice, NOON + 100 * hour, NOON).due == NOON + notice.repeat


def test_without_recovery_the_end_is_not_a_message() -> None:
    notice = opened(change(Change.OPENED), Route(to="ops", recovery=False))
    brief = closed(notice, change(Change.CLOSED))
    assert brief is not None, "nobody has heard of it yet"
    known = after_message(notice, "m1", NOON)
    assert known is not None
    assert closed(known, change(Change.CLOSED)) is None


@given(
    st.lists(st.sampled_from([*Change, "message"])),
    st.booleans(),
    st.lists(st.booleans(), min_size=50, max_size=50),
)
def test_a_receiver_hears_of_each_alert_and_of_its_end_once(
    history: list[Change | str], recovery: bool, restarts: list[bool]
) -> None:
    """Whatever happens in whatever order, with a restart between any two steps."""
    notice: Notice | None = None
    heard: list[Stage] = []
    is_open = False
    at = NOON
    for step, is_restart in zip(history, restarts, strict=False):
        at += timedelta(seconds=1)
        notice = stored(notice) if is_restart else notice
        if step == Change.OPENED and not is_open and notice is None:
            notice, is_open = (
                opened(change(Change.OPENED, at), Route(to="o", recovery=recovery)),
                True,
            )
        elif step == Change.COUNTED and is_open and notice is not None:
            notice = counted(notice, change(Change.COUNTED, at, count=2))
        elif step == Change.CLOSED and is_open and notice is not None:
            notice, is_open = closed(notice, change(Change.CLOSED, at)), False
        elif step == "message" and notice is not None:
            heard.append(notice.stage)
            notice = after_message(notice, "m", at)
    news = [stage for stage in heard if stage is not Stage.OPEN]
    for first, second in pairwise(news):
        assert (first is Stage.OPENING and second is Stage.CLOSING) or second is not Stage.CLOSING
    if not recovery:
        assert Stage.CLOSING not in heard


@pytest.mark.parametrize(
    ("stage", "longest"), [(Stage.OPENING, GROUPING), (Stage.OPEN, timedelta(hours=24))]
)
def test_after_a_step_of_the_clock_back_a_notice_is_not_due_years_later(
    stage: Stage, longest: timedelta
) -> None:
    notice = opened(change(Change.OPENED, NOON + timedelta(days=4000)), Route(to="ops"))
    if stage is Stage.OPEN:
        later = after_message(notice, "m", NOON + timedelta(days=4000))
        assert later is not None
        notice = later
    assert within_reach(notice, NOON).due == NOON + longest
