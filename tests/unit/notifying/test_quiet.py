"""Quiet windows, against a look at every minute."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.notifying.quiet import quiet_until
from runner.requests.receivers import QuietWindow

NIGHT = QuietWindow(begins=time(22), ends=time(6), zone="Europe/Madrid")
WEEKEND = QuietWindow(begins=time(22), ends=time(6), days=frozenset({5, 6}))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-30 20:59", None),
        ("2026-11-30 21:00", "2026-12-01 05:00"),  # 22:00 in Madrid
        ("2026-12-01 04:59", "2026-12-01 05:00"),
        ("2026-12-01 05:00", None),
        ("2026-10-25 00:30", "2026-10-25 05:00"),  # the clock goes back at 01:00Z
        ("2026-03-29 00:30", "2026-03-29 04:00"),  # and forward
    ],
)
def test_a_window_ends_at_its_wall_time(now: str, until: str | None) -> None:
    assert quiet_until(at(now), "ops", [NIGHT], "UTC") == (None if until is None else at(until))


def test_a_window_belongs_to_the_day_on_which_it_begins() -> None:
    friday, monday = at("2026-11-27 23:00"), at("2026-11-30 05:00")
    assert quiet_until(friday, "ops", [WEEKEND], "UTC") is None
    assert quiet_until(monday, "ops", [WEEKEND], "UTC") == at("2026-11-30 06:00")


def test_a_window_may_be_for_some_receivers() -> None:
    chat = QuietWindow(begins=time(0), ends=time(0), receivers=frozenset({"chat"}))
    assert quiet_until(at("2026-11-30 12:00"), "ops", [chat], "UTC") is None
    assert quiet_until(at("2026-11-30 12:00"), "chat", [chat], "UTC") is not None


def test_windows_that_touch_are_one() -> None:
    first = QuietWindow(begins=time(10), ends=time(12))
    second = QuietWindow(begins=time(12), ends=time(13))
    until = quiet_until(at("2026-11-30 10:30"), "ops", [second, first], "UTC")
    assert until == at("2026-11-30 13:00")


windows = st.builds(
    QuietWindow,
    begins=st.times(max_value=time(23, 59)).map(lambda each: each.replace(second=0, microsecond=0)),
    ends=st.times(max_value=time(23, 59)).map(lambda each: each.replace(second=0, microsecond=0)),
    days=st.frozensets(st.integers(0, 6), min_size=1, max_size=4),
)


@given(windows, st.integers(0, 7 * 24 * 60))
def test_a_window_covers_what_it_says(window: QuietWindow, minute: int) -> None:
    now = at("2026-11-30 00:00") + timedelta(minutes=minute)

    def is_quiet(instant: datetime) -> bool:
        wall = instant.astimezone(ZoneInfo("UTC"))
        today, yesterday = wall.weekday() in window.days, (wall.weekday() - 1) % 7 in window.days
        if window.begins < window.ends:
            return today and window.begins <= wall.time() < window.ends
        return (today and window.begins <= wall.time()) or (yesterday and wall.time() < window.ends)

    until = quiet_until(now, "ops", [window], "UTC")
    assert (until is not None) == is_quiet(now)
    if until is not None:
        assert not is_quiet(until)
        minutes = range(int((until - now).total_seconds() // 60))
        assert all(is_quiet(now + timedelta(minutes=each)) for each in minutes)
