"""The deadlines of the time-driven checks, and the pauses that put them off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.planning.alerts.expectations import Limit
from runner.planning.states.pauses import NOT_HELD, Held
from runner.timing.zones import END

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("spans", "due"),
    [
        ((), NOON + DAY),
        (((NOON - 2 * HOUR, NOON - HOUR),), NOON + DAY),
        (((NOON - HOUR, NOON + HOUR),), NOON + DAY + HOUR),
        (((NOON + HOUR, NOON + 3 * HOUR),), NOON + DAY + 2 * HOUR),
        (((NOON + DAY, NOON + 2 * DAY),), NOON + DAY),
        (((NOON + HOUR, END),), END),
    ],
)
def test_the_time_of_a_pause_does_not_count(
    spans: tuple[tuple[datetime, datetime], ...], due: datetime
) -> None:
    assert Limit(begin=NOON, length=DAY).due(Held(spans=spans)) == due


@given(
    st.timedeltas(min_value=timedelta(0), max_value=36_500 * DAY),
    st.datetimes(NOON.replace(tzinfo=None), END.replace(tzinfo=None), timezones=st.just(UTC)),
    st.datetimes(NOON.replace(tzinfo=None), END.replace(tzinfo=None), timezones=st.just(UTC)),
)
def test_a_pause_of_any_length_puts_any_limit_off(
    length: timedelta, one: datetime, other: datetime
) -> None:
    limit = Limit(begin=NOON, length=length)
    due = limit.due(Held(spans=((min(one, other), max(one, other)),)))
    assert limit.due(NOT_HELD) <= due <= END
