"""The fires of a span that a calendar moved, compared with asking each fire of the span."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import takewhile

from hypothesis import given, settings
from hypothesis import strategies as st
from support.planning_world import request_of

from runner.errors import RunnerError
from runner.planning.forecast.moves import moved_fires
from runner.planning.moved_fires import moved_words
from runner.planning.transitions.registration import register
from runner.requests.model import Schedule
from runner.timing.calendars import Dates
from runner.timing.parsing import parse_rule
from runner.timing.upcoming import fires

# Clocks go back in Madrid on 25 October.
FIRST = date(2026, 10, 16)
BEGIN = datetime(2026, 10, 19, 3, tzinfo=UTC)
DAY, TICK = timedelta(days=1), timedelta(microseconds=1)
SHIFTS = ["drop", "next", "previous", "next_workday", "previous_workday"]
PATTERNS = [
    {"frequency": "daily", "at": ["00:00", "02:30"]},
    {"frequency": "daily", "days": "workdays", "at": "02:30"},
    {"frequency": "weekly", "days": ["sunday", "monday"], "at": "23:59"},
    {"frequency": "monthly", "day": "last_workday", "at": "12:00"},
    {"frequency": "monthly", "day": 31, "at": "12:00"},
    {"frequency": "cron", "expression": "0 6 * * 5"},
    {"frequency": "hourly", "interval": 7},
]


@settings(max_examples=100)
@given(
    pattern=st.sampled_from(PATTERNS),
    shift=st.sampled_from(SHIFTS),
    excepted=st.frozensets(st.integers(0, 20), max_size=9),
    days=st.integers(1, 16),
)
def test_a_moved_fire_is_listed_if_its_words_say_so(
    pattern: dict[str, object], shift: str, excepted: frozenset[int], days: int
) -> None:
    dates = Dates(days=frozenset(FIRST + offset * DAY for offset in excepted))
    data = pattern | ({"shift": shift} if dates or shift.endswith("workday") else {})
    try:
        rule = parse_rule(data, default_zone="Europe/Madrid", excepted=dates)
    except RunnerError:
        return
    request = request_of(Schedule(rule=rule))
    states = {request.name: register(request, None, BEGIN).state}
    end = BEGIN + days * DAY
    found = moved_fires([request], states, begin=BEGIN, end=end, now=BEGIN)
    in_span = takewhile(lambda fire: fire < end, fires(rule, BEGIN - TICK))
    words = ((fire, moved_words(request, fire)) for fire in in_span)
    assert [(each.fire, each.origin) for each in found] == [each for each in words if each[1]]
