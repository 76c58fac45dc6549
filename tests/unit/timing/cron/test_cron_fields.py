"""Cron fields, compared with an independent parser: sets of numbers, as Debian's manual says.

Debian's cron 3.0pl1-162, tried with `crontab -n` and with cron itself under
libfaketime, on Saturday 3 January 2026: `5/15`, `1/2`, `L`, `LW` and `5L` are refused;
`6#2` runs on every Saturday; `FRI-MON` and `22-4` are accepted and never run; `3-3/2`
in the day of the month is the 3rd alone, `*/60` its 1st; a sixth field is part of the
command.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.importing.cron_dialects import OURS, meaning_of
from runner.planning.views.cautions import CautionKind, cautions
from runner.requests.model import Schedule
from runner.timing.cron.cron_expression import explanation, read_expression
from runner.timing.parsing import parse_rule
from runner.timing.rules import Cron, Rule
from runner.timing.streams import endless

UTC_ZONE = ZoneInfo("UTC")
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
BOUNDS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
WORDS: list[list[str]] = [[], [], [], ["", *MONTHS], WEEKDAYS]
SAMPLES = [
    "5-5/2 * * * *", "59-59/60 * * * *", "0-0/1 0 * * *", "*/60 * * * *", "*/90 * * * *",
    "7/60 3 * * *", "0 */24 * * *", "0 5-5/3,7 * * *", "0 0 7-7/2 * *", "0 0 * 2-2/2 *",
    "0 0 * FEB-FEB/3 *", "0 0 * * 7-7/2", "0 0 * * SUN-SUN/2", "0 0 * * sun-0/4", "0 0 * * 5-5/2,1",
    "0 0 * * MON/2", "0 0 * * MON/9", "0 0 * * 1-5/2", "0 0 * * */8", "0 0 */40 * *",
    "0 0 */40 * MON", "0 0 1-31 * MON", "0 0 15 * 0-7", "0 0 15 * */1", "0 0 1/1 * MON",
    "0 0 */2 * 1-5", "0 0 13 * 5", "0 0 * JAN-MAR/2 *", "0 12 * 1-12/5 sat,3",
    "0-59/1 0-23/30 * * *", "1,5-5/7 2 * * *", "0 0 31-31/2 1 *",
]  # fmt: skip


def numbers(text: str, place: int) -> set[int]:
    """Return the numbers that a field allows: every step-th of each term; Sunday is 0."""
    low, high = BOUNDS[place]
    found: set[int] = set()
    for term in text.lower().split(","):
        range_text, _, step = term.partition("/")
        ends = [WORDS[place].index(end) if end.isalpha() else end for end in range_text.split("-")]
        if range_text == "*":
            first, last = low, high
        else:
            first = int(ends[0])
            last = int(ends[-1]) if len(ends) == 2 or not step else high
        found.update(range(first, last + 1, int(step or 1)))
    return {number % 7 for number in found} if place == 4 else found


def by_looking_at_each(expression: str, begin: datetime, days: int) -> Iterator[datetime]:
    """Yield the minutes that all five fields allow, by looking at each minute of each day."""
    texts = expression.split()
    minutes, hours, days_of_month, months, weekdays = (
        numbers(text, place) for place, text in enumerate(texts)
    )
    needs_both = texts[2].startswith("*") or texts[4].startswith("*")
    for day in (begin + timedelta(days=number) for number in range(days)):
        on_day, on_weekday = day.day in days_of_month, day.isoweekday() % 7 in weekdays
        is_day = (on_day and on_weekday) if needs_both else (on_day or on_weekday)
        if not (is_day and day.month in months):
            continue
        for minute in (day + timedelta(minutes=number) for number in range(1440)):
            if minute.hour in hours and minute.minute in minutes:
                yield minute


def check(expression: str, begin: datetime, days: int) -> None:
    expected = list(islice(by_looking_at_each(expression, begin, days), 200))
    rule = Rule(pattern=Cron(expression=read_expression(expression, field=())), zone="UTC")
    fires = endless(rule, begin - timedelta(seconds=1))
    assert list(islice(fires, len(expected))) == expected
    meaning = meaning_of(expression, OURS)
    for minute in expected[:20]:
        assert (
            {minute.minute} <= meaning.minutes
            and {minute.hour} <= meaning.hours
            and {minute.month} <= meaning.months
        )
    texts = expression.split()
    assert (set(meaning.minutes), set(meaning.hours)) == (
        numbers(texts[0], 0),
        numbers(texts[1], 1),
    )


@pytest.mark.parametrize("expression", SAMPLES)
def test_a_cron_expression_fires_in_each_matching_minute_and_the_importer_agrees(
    expression: str,
) -> None:
    check(expression, datetime(2026, 1, 1, tzinfo=UTC), 120)


def some_term(chance: Random, place: int) -> str:
    low, high = BOUNDS[place]
    one = chance.randint(low, high)
    other = chance.choice((one, chance.randint(one, high)))
    base = chance.choice(("*", f"{one}", f"{one}-{other}", f"{one}-{other}"))
    return base + chance.choice(("", "", f"/{chance.randint(1, 70)}"))


@given(st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_any_expression_of_numbers_ranges_and_steps_fires_in_its_matching_minutes(
    chance: Random,
) -> None:
    fields = [
        ",".join(some_term(chance, place) for _ in range(chance.choice((1, 1, 2))))
        for place in range(5)
    ]
    fields[3] = chance.choice(("*", fields[3]))
    begin = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=chance.randrange(1500))
    expression = " ".join(fields)
    if any(by_looking_at_each(f"0 0 {' '.join(fields[2:])}", begin, 40)):
        check(expression, begin, 40)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("5-5/2 * * * *", "at minute 5 of every hour"),
        ("*/60 * * * *", "at the start of every hour"),
        ("0 0 * * SUN-SUN/2", "at 00:00 on Sunday"),
        ("0 0 1-31 * MON", "at 00:00 every day"),
        ("0 0 15 * 0-7", "at 00:00 every day"),
        ("0 0 */40 * *", "at 00:00 on the first day of every month"),
        ("0 0 */2 * MON", "at 00:00 on every second day of month if it's on Monday"),
    ],
)
def test_the_words_for_an_expression_say_when_it_fires(expression: str, words: str) -> None:
    assert explanation(expression) == words


@pytest.mark.parametrize("expression", SAMPLES)
def test_a_step_that_leaves_one_number_is_cautioned_and_no_other_is(expression: str) -> None:
    rule = parse_rule({"frequency": "cron", "expression": expression}, default_zone="UTC")
    found = [
        each
        for each in cautions(Schedule(rule=rule), datetime(2026, 1, 1, tzinfo=UTC))
        if each.kind is CautionKind.STEP_BEYOND
    ]
    alone = [
        term
        for place, text in enumerate(expression.split())
        for term in text.split(",")
        if "/" in term and len(range_of(term, place)) == 1
    ]
    assert [re.search(r"step of (\S+)", caution.message)[1] for caution in found] == alone  # type: ignore[index]


def range_of(term: str, place: int) -> set[int]:
    """Return the numbers of a term as written, Sunday twice."""
    low, high = BOUNDS[place]
    head, _, step = term.lower().partition("/")
    ends = [WORDS[place].index(end) if end.isalpha() else end for end in head.split("-")]
    first, last = (
        (low, high) if head == "*" else (int(ends[0]), int(ends[-1]) if len(ends) == 2 else high)
    )
    return set(range(first, last + 1, int(step)))


def test_a_caution_says_how_to_write_the_interval_that_a_step_cannot_be() -> None:
    rule = parse_rule({"frequency": "cron", "expression": "*/90 * * * *"}, default_zone="UTC")
    (caution,) = cautions(Schedule(rule=rule), datetime(2026, 1, 1, tzinfo=UTC))
    assert caution.message == (
        "the step of */90 is longer than its range: only 0 matches; "
        "every 90 minutes is frequency: minutely, interval: 90"
    )
