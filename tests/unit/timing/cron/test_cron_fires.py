"""Cron: refused expressions, and our fires against cronsim's where cronsim is reliable."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from random import Random
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import RuleError
from runner.timing.cron.cron_expression import follows_the_wall_clock, read_expression
from runner.timing.cron.cron_fires import count_wall_clock
from runner.timing.rules import Cron, Rule
from runner.timing.streams import endless

FIELD = ("schedule", "expression")
UTC_ZONE = ZoneInfo("UTC")


# Where cronsim can be relied on: clocks change by whole hours, and not at midnight. For
# Lord Howe, Cairo, Santiago, Havana and Apia, where it cannot, the walk through all
# minutes in test_upcoming.py is the judge.
PLACES = [
    ("Europe/Madrid", "2026-03-29"), ("Europe/Madrid", "2026-10-25"),
    ("America/New_York", "2026-03-08"), ("America/New_York", "2026-11-01"),
    ("Australia/Sydney", "2026-10-04"), ("Australia/Sydney", "2026-04-05"),
    ("Antarctica/Troll", "2026-03-29"), ("Antarctica/Troll", "2026-10-25"),
    ("Africa/Casablanca", "2026-02-15"), ("Africa/Casablanca", "2026-03-22"),
]  # fmt: skip


def number_field(chance: Random, low: int, high: int) -> str:
    terms = (number_term(chance, low, high) for _ in range(chance.choice((1, 1, 1, 2, 3))))
    return ",".join(terms)


def number_term(chance: Random, low: int, high: int) -> str:
    one, other = sorted(
        chance.sample(range(low, high + 1), 2)
    )  # cronsim misreads 5-5/2: see test_cron_fields.py
    base = chance.choice(("*", "*", f"{one}", f"{one}-{other}"))
    return base + chance.choice(("", f"/{chance.randint(1, high)}"))


def expression_of(chance: Random) -> str:
    second, minute = chance.choice(("0", number_field(chance, 0, 59))), number_field(chance, 0, 59)
    clocks = [second, minute, number_field(chance, 0, chance.choice((3, 23)))]
    month_day = chance.choice(("*", number_field(chance, 1, 31), "L", "LW", "1,L"))
    month = chance.choice(("*", "*", number_field(chance, 1, 12), "JAN", "feb-MAR"))
    weekday = chance.choice(
        ("*", number_field(chance, 0, 7), "MON-FRI", "5L", "SUN#1", "1#5", "sat,3")
    )
    return " ".join([*clocks[chance.randrange(2) :], month_day, month, weekday])


def check_against_cronsim(chance: Random) -> None:
    """Generate an instant: anywhere, or near a clock change."""
    text = expression_of(chance)
    try:
        expression = read_expression(text, field=FIELD)
    except RuleError:
        return
    check_walk(expression, UTC_ZONE, datetime.fromtimestamp(chance.randrange(7_226_582_400), UTC))
    key, day = chance.choice(PLACES)
    near = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(
        seconds=chance.randint(-172_800, 172_800)
    )
    check_walk(expression, ZoneInfo(key), near)


def check_walk(expression: str, zone: ZoneInfo, after: datetime) -> None:
    follows, has_seconds = follows_the_wall_clock(expression), len(expression.split()) == 6
    asked = after.astimezone(zone)
    if asked.fold and not follows:
        return  # inside an overlap, cronsim takes the second pass for the first, and looks back
    # cronsim knows times of day in five fields only: six always follow the clock on the wall.
    like_five = not follows and has_seconds and expression.startswith("0 ")
    theirs = CronSim(expression.removeprefix("0 ") if like_five else expression, asked)
    expected = [fire.astimezone(UTC) for fire in islice(theirs, 8)]
    rule = Rule(pattern=Cron(expression=expression), zone=zone.key)
    found = list(islice(endless(rule, after), 8))
    if has_seconds and not follows and not like_five:
        expected, found = before_a_change(expected, asked), before_a_change(found, asked)
    assert found == expected, (expression, zone.key, after)
    if expected and follows:
        before_last = expected[-1] - timedelta(microseconds=1)
        assert count_wall_clock(expression, zone, after, before_last) == len(expected) - 1
        assert count_wall_clock(expression, zone, after, expected[-1]) == len(expected)


def before_a_change(found: list[datetime], asked: datetime) -> list[datetime]:
    return list(
        takewhile(
            lambda fire: fire.astimezone(asked.tzinfo).utcoffset() == asked.utcoffset(), found
        )
    )


@given(st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_the_walk_is_that_of_cronsim_where_cronsim_can_be_relied_on(chance: Random) -> None:
    check_against_cronsim(chance)


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_the_walk_is_that_of_cronsim_at_length() -> None:
    """Run RUNNER_EXAMPLES examples from RUNNER_SEED."""
    seed = os.environ.get("RUNNER_SEED", "1")
    for number in range(int(os.environ.get("RUNNER_EXAMPLES", "100000"))):
        try:
            check_against_cronsim(Random(f"{seed} {number}"))
        except Exception as error:
            error.add_note(f"example {number} of seed {seed}")
            raise


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("@daily", '"0 0 * * *"'),
        ("@HOURLY", '"0 * * * *"'),
        ("@reboot", "run_immediately"),
        ("@fortnightly", "write 5 (minute hour day month weekday)"),
        ("0 0 ? * MON", '"0 0 * * MON"'),
        ("0 0 15W * *", "LW is the last workday"),
        ("0 0 L-3 * *", "L is the last day"),
        ("0 0 L/2 * *", "the last day has no step"),
        ("0 0 1,lw/2 * *", "the last day has no step"),
        (
            "0 0 0 1 1 * 2027",
            'write expression: "0 0 0 1 1 *", start: 2027-01-01, finish: 2027-12-31',
        ),
        ("* * * *", "minute hour day month weekday"),
        ("", "minute hour day month weekday"),
        ("60 * * * *", "0-59"),
        ("0 24 * * *", "0-23"),
        ("0 0 0 * *", "1-31"),
        ("0 0 * 13 *", "1-12"),
        ("0 0 * * FRI-MON", 'write "0 0 * * FRI-SAT,SUN-MON"'),
        ("0 0 * * MON#6", "0-7"),
        ("60 0 0 * * *", "0-59"),
        ("*/0 * * * *", "a step is at least 1"),
        ("- * * * *", "0-59"),
        ("0 0 ²L * *", "1-31"),
        ("0 0 31 4,6 *", "last day"),
        ("9" * 5000 + " * * * *", "5"),
        ("?" * 5000, "write 5 (minute hour day month weekday)"),
    ],
)
def test_an_expression_that_runner_cannot_read_is_refused_with_a_suggestion(
    text: str, suggestion: str
) -> None:
    with pytest.raises(RuleError) as caught:
        read_expression(text, field=FIELD)
    assert suggestion in str(caught.value.suggestion)
    assert caught.value.field == FIELD
    assert len(str(caught.value)) < 160


@given(text=st.text("0123456789*/-,#LW? @MONSUN²\t", max_size=40))
@settings(max_examples=300)
def test_any_text_is_an_expression_or_a_rule_error(text: str) -> None:
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
        ("*/10 30 2 * * *", True),
        ("*/60 2 * * *", True),
    ],
)
def test_a_star_in_second_minute_or_hour_follows_the_wall_clock(
    expression: str, follows: bool
) -> None:
    assert follows_the_wall_clock(expression) is follows
