"""Cron: what is refused and how, and our walk against cronsim's own where no clock changes."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runner.errors import RuleError
from runner.timing.cron import count_wall_clock, cron_fires, follows_the_wall_clock, read_expression

FIELD = ("schedule", "expression")
UTC_ZONE = ZoneInfo("UTC")


def number_field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    base = st.one_of(st.just("*"), st.just("*"), number.map(str), span)
    step = st.tuples(base, st.integers(1, high)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.one_of(base, step, st.lists(st.one_of(base, step), min_size=2, max_size=3).map(",".join))


month_days = st.one_of(number_field(1, 31), st.sampled_from(["L", "LW", "1,L"]))
months = st.one_of(st.just("*"), number_field(1, 12), st.sampled_from(["JAN", "feb-MAR"]))
weekdays = st.one_of(number_field(0, 7), st.sampled_from(["MON-FRI", "5L", "SUN#1", "1#5", "sat,3"]))
expressions = st.tuples(
    st.one_of(st.just(""), number_field(0, 59)), number_field(0, 59), number_field(0, 23), month_days, months, weekdays
).map(" ".join)
moments = st.integers(0, 7_226_582_400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def check_against_cronsim(text: str, after: datetime) -> None:
    try:
        expression = read_expression(text, field=FIELD)
    except RuleError:
        assume(False)
        raise
    expected = list(islice(CronSim(expression, after), 8))
    assert list(islice(cron_fires(expression, UTC_ZONE, after), 8)) == expected
    if expected and follows_the_wall_clock(expression):
        before_last = expected[-1] - timedelta(microseconds=1)
        assert count_wall_clock(expression, UTC_ZONE, after, before_last) == len(expected) - 1
        assert count_wall_clock(expression, UTC_ZONE, after, expected[-1]) == len(expected)


@given(text=expressions, after=moments)
@settings(max_examples=150, deadline=None)
def test_without_changes_of_clocks_the_walk_is_that_of_cronsim(text: str, after: datetime):
    check_against_cronsim(text, after)


@pytest.mark.campaign
@pytest.mark.timeout(0)
@given(text=expressions, after=moments)
@settings(max_examples=int(os.environ.get("RUNNER_EXAMPLES", "100000")), deadline=None)
def test_without_changes_of_clocks_the_walk_is_that_of_cronsim_at_length(text: str, after: datetime):
    check_against_cronsim(text, after)


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("@daily", '"0 0 * * *"'),
        ("@HOURLY", '"0 * * * *"'),
        ("@reboot", "run_immediately"),
        ("@fortnightly", "five fields"),
        ("0 0 ? * MON", '"0 0 * * MON"'),
        ("0 0 15W * *", "LW is the last workday"),
        ("0 0 L-3 * *", "L is the last day"),
        ("0 0 0 1 1 * 2027", "leave out the year"),
        ("* * * *", "minute hour day month weekday"),
        ("", "minute hour day month weekday"),
        ("60 * * * *", "0-59"),
        ("0 24 * * *", "0-23"),
        ("0 0 0 * *", "1-31"),
        ("0 0 * 13 *", "1-12"),
        ("0 0 * * FRI-MON", "0-7"),
        ("0 0 * * MON#6", "0-7"),
        ("60 0 0 * * *", "0-59"),
        ("*/0 * * * *", "0-59"),
        ("- * * * *", "0-59"),
        ("0 0 ²L * *", "1-31"),
        ("0 0 31 4,6 *", "last day"),
        ("9" * 5000 + " * * * *", "5"),
        ("?" * 5000, "write * for ?"),
    ],
)
def test_what_other_crons_know_and_what_none_knows_is_refused_with_a_way_out(text: str, suggestion: str):
    with pytest.raises(RuleError) as caught:
        read_expression(text, field=FIELD)
    assert suggestion in str(caught.value.suggestion)
    assert caught.value.field == FIELD
    assert len(str(caught.value)) < 160


@given(text=st.text("0123456789*/-,#LW? @MONSUN²\t", max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_is_an_expression_or_a_rule_error(text: str):
    try:
        expression = read_expression(text, field=FIELD)
    except RuleError:
        return
    assert read_expression(expression, field=FIELD) == expression


@pytest.mark.parametrize(
    ("expression", "follows"),
    [
        ("30 2 * * *", False),
        ("0,30 2-4 * * *", False),
        ("*/5 2 * * *", True),
        ("0 * * * *", True),
        ("0 30 2 * * *", False),
    ],
)
def test_a_star_in_minute_or_hour_follows_the_wall_clock(expression: str, follows: bool):
    assert follows_the_wall_clock(expression) is follows
