"""Expressions of other schedulers: ours fires when independent matchers say that the
source's expression fires.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, product, takewhile
from typing import Any

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import RuleError
from runner.importing.cron_dialects import (
    PARSE_CRONTAB,
    QUARTZ,
    ROBFIG,
    VIXIE,
    Dialect,
    DialectError,
    meaning_of,
)
from runner.importing.cron_writing import expression_for, expression_of
from runner.importing.imported import Draft, ImportSettings, Severity
from runner.importing.scheduling import cron_timing
from runner.timing.parsing import parse_rule
from runner.timing.upcoming import fires

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MADRID = ImportSettings(default_zone="Europe/Madrid", now=NOW)
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905
WEEKDAYS = "sun mon tue wed thu fri sat".split()  # noqa: SIM905
DAYS_LOOKED_AT = 45
MOST_LOOKED_AT = 100

instants = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)).map(  # noqa: DTZ001
    lambda at: at.replace(tzinfo=UTC)
)


def ours(expression: str, after: datetime) -> Iterator[datetime]:
    return fires(
        parse_rule({"frequency": "cron", "expression": expression}, default_zone="UTC"), after
    )


def numbers(text: str, low: int, high: int, *, wraps: bool = False) -> set[int]:
    """Read the plain forms of a field, independently of the code under test."""
    found: set[int] = set()
    for term in text.split(","):
        body, _, step = term.partition("/")
        first, _, last = (f"{low}-{high}" if body in "*?" else body).partition("-")
        end = int(last or (high if step else first))
        size = high - low + 1
        if end < int(first):
            assert wraps
            end += size
        found |= {
            (number - low) % size + low for number in range(int(first), end + 1, int(step or 1))
        }
    return found


def named(text: str, names: list[str], first: int) -> str:
    text = text.lower()
    for number, name in enumerate(names, first):
        text = text.replace(name, str(number))
    return text


def weekday_of(day: date) -> int:
    return day.isoweekday() % 7


def walked(
    after: datetime, is_day: Callable[[date], bool], minutes: str, hours: str, seconds: str = "0"
) -> Iterator[datetime]:
    """Yield the matching times of a month and a half by trying every one."""
    clocks = [
        sorted(numbers(text, 0, high)) for text, high in ((hours, 23), (minutes, 59), (seconds, 59))
    ]
    for number in range(DAYS_LOOKED_AT):
        day = after.date() + timedelta(days=number)
        if is_day(day):
            times = (
                datetime.combine(day, time(hour, minute, second), UTC)
                for hour, minute, second in product(*clocks)
            )
            yield from (at for at in times if at > after)


def agrees(written: str, walk: Iterator[datetime], after: datetime) -> None:
    until = datetime.combine(after.date() + timedelta(days=DAYS_LOOKED_AT), time(), tzinfo=UTC)
    try:
        found = takewhile(lambda at: at < until, ours(written, after))
    except RuleError as error:
        assert "can never fire" in str(error)
        assert next(walk, None) is None
        return
    assert list(islice(found, MOST_LOOKED_AT)) == list(islice(walk, MOST_LOOKED_AT)), written


def field(low: int, high: int, *extra: str, steps: bool = True) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    ranges = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    stepped = st.tuples(st.one_of(st.just("*"), ranges), st.integers(1, 9)).map(
        lambda parts: f"{parts[0]}/{parts[1]}"
    )
    from_on = st.tuples(number, st.integers(1, 9)).map(lambda parts: f"{parts[0]}/{parts[1]}")
    plain = [
        st.just("*"),
        number.map(str),
        ranges,
        stepped,
        *([st.sampled_from(extra)] if extra else []),
    ]
    term = st.one_of(*plain, *([from_on] if steps else []))
    return st.one_of(term, term, st.lists(term, min_size=2, max_size=3).map(",".join))


def expressions(top_weekday: int, *, steps: bool) -> st.SearchStrategy[list[str]]:
    months = st.sampled_from(["*", "*", "*/2", "jan-jun", "feb,JUL", "11"])
    weekdays = field(0, top_weekday, "mon-fri", "SUN", "tue,thu", steps=steps)
    return st.tuples(
        field(0, 59, steps=steps),
        field(0, 23, steps=steps),
        field(1, 31, steps=steps),
        months,
        weekdays,
    ).map(list)


def month_and_days(fields: list[str], top_weekday: int) -> tuple[set[int], set[int], set[int]]:
    months = numbers(named(fields[3], MONTHS, 1), 1, 12)
    weekdays = {number % 7 for number in numbers(named(fields[4], WEEKDAYS, 0), 0, top_weekday)}
    return months, numbers(fields[2], 1, 31), weekdays


def check_crontab(fields: list[str], after: datetime) -> None:
    text = " ".join(fields)
    try:
        written = expression_for(text, VIXIE)
    except (
        DialectError
    ):  # a list with `*` in front and a range of one in it, which cronsim reads otherwise
        assert re.search(r"\b(\d+)-\1/", text)
        return
    months, days, weekdays = month_and_days(fields, 7)
    is_star = fields[2].startswith("*") or fields[4].startswith("*")

    def is_day(day: date) -> bool:
        both = (day.day in days, weekday_of(day) in weekdays)
        return day.month in months and (all(both) if is_star else any(both))

    agrees(written, walked(after, is_day, fields[0], fields[1]), after)
    if written == text and next(walked(after, is_day, "0", "0"), None):
        assert list(islice(ours(text, after), 20)) == list(islice(CronSim(text, after), 20))


def check_kubernetes(fields: list[str], after: datetime) -> None:
    months, days, weekdays = month_and_days(fields, 6)
    is_free = [
        any(term in {"*", "*/1"} for term in text.split(",")) for text in (fields[2], fields[4])
    ]

    def is_day(day: date) -> bool:
        both = (day.day in days, weekday_of(day) in weekdays)
        return day.month in months and (all(both) if any(is_free) else any(both))

    agrees(
        expression_for(" ".join(fields), ROBFIG), walked(after, is_day, fields[0], fields[1]), after
    )


def check_yacron(fields: list[str], after: datetime) -> None:
    # A quirk that cronstable documents and keeps: a range that ends in 0 ends in 7, and
    # 0-0 is every day.
    months, days, weekdays = month_and_days([*fields[:4], re.sub(r"\b0-0\b", "0-7", fields[4])], 6)

    def is_day(day: date) -> bool:
        return day.month in months and day.day in days and weekday_of(day) in weekdays

    try:
        written = expression_for(" ".join(fields), PARSE_CRONTAB)
    except DialectError:
        assert len(days) < 31
        assert len(weekdays) < 7
        return
    agrees(written, walked(after, is_day, fields[0], fields[1]), after)


quartz_days = st.one_of(
    field(1, 31).map(lambda text: (text, "?")),
    st.sampled_from(
        [
            ("L", "?"),
            ("LW", "?"),
            ("?", "6L"),
            ("?", "FRIL"),
            ("?", "2#1"),
            ("?", "SUN#5"),
            ("?", "L"),
        ]
    ),
    field(1, 7, "MON-FRI", "FRI-MON", "7-2", "SAT,SUN").map(lambda text: ("?", text)),
)


quartz_expressions = st.tuples(
    field(0, 59),
    field(0, 59),
    field(0, 23, "22-2"),
    quartz_days,
    st.sampled_from(["*", "1/3", "NOV-FEB"]),
)


def check_quartz(parts: tuple[str, str, str, tuple[str, str], str], after: datetime) -> None:
    second, minute, hour, both, month = parts
    day_text, weekday_text = both
    months = numbers(named(month, MONTHS, 1), 1, 12, wraps=True)
    hours = ",".join(map(str, sorted(numbers(hour, 0, 23, wraps=True))))

    def is_day(day: date) -> bool:
        return (
            day.month in months and quartz_day(day_text, day) and quartz_weekday(weekday_text, day)
        )

    text = f"{second} {minute} {hour} {day_text} {month} {weekday_text}"
    agrees(expression_for(text, QUARTZ), walked(after, is_day, minute, hours, second), after)


def quartz_day(text: str, day: date) -> bool:
    last = monthrange(day.year, day.month)[1]
    if text == "L":
        return day.day == last
    if text == "LW":
        workdays = [
            number for number in range(1, last + 1) if day.replace(day=number).isoweekday() < 6
        ]
        return day.day == workdays[-1]
    return day.day in numbers(text, 1, 31)


def quartz_weekday(text: str, day: date) -> bool:
    """Return whether a day matches a weekday field of Quartz: 1 is Sunday, L is Saturday."""
    weekday, text = weekday_of(day) + 1, named(text, WEEKDAYS, 1).upper()
    last = monthrange(day.year, day.month)[1]
    if text == "L":
        return weekday == 7
    if text.endswith("L"):
        return weekday == int(text[0]) and day.day > last - 7
    if "#" in text:
        return weekday == int(text[0]) and (day.day - 1) // 7 + 1 == int(text[2])
    return weekday in numbers(text, 1, 7, wraps=True)


SOURCES: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any, datetime], None]]] = {
    "crontab, by cronsim": (expressions(7, steps=False), check_crontab),
    "kubernetes": (expressions(6, steps=True), check_kubernetes),
    "yacron": (expressions(6, steps=True), check_yacron),
    "openbravo, by Quartz": (quartz_expressions, check_quartz),
}


def check_many(source: str, examples: int) -> None:
    strategy, check = SOURCES[source]
    settings(max_examples=examples)(given(strategy, instants)(check))()


@pytest.mark.parametrize("source", SOURCES)
def test_an_imported_expression_fires_when_the_source_s_rule_says(source: str) -> None:
    check_many(source, 30)


@pytest.mark.campaign
@pytest.mark.timeout(900)
@pytest.mark.parametrize("source", SOURCES)
def test_thousands_of_imported_expressions_fire_when_the_source_s_rule_says(source: str) -> None:
    check_many(source, 1500)


@pytest.mark.parametrize(
    ("dialect", "text", "written"),
    [
        (VIXIE, "3-3/5 * * * *", "3-3/5 * * * *"),
        (ROBFIG, "0 0 */2 * 1", "0 0 1-31/2 * 1"),
        (ROBFIG, "0 0 1-31 * 1", "0 0 1-31 * 1"),
        (ROBFIG, "0 0 ? * 1", "0 0 * * 1"),
        (PARSE_CRONTAB, "0 9 1-31/2 * 1", "0 9 */2 * 1"),
        (PARSE_CRONTAB, "0 9 13 * 0-6/2", "0 9 13 * */2"),
        (PARSE_CRONTAB, "0 9 8-21 * mon,thu", "0 9 * * 1#2,4#2,1#3,4#3"),
        (PARSE_CRONTAB, "0 9 * * sat-0", "0 9 * * 0,6"),
        (PARSE_CRONTAB, "30 0 9 L * * *", "30 0 9 L * *"),
        (PARSE_CRONTAB, "0 9 * * L5", "0 9 * * 5L"),
        (QUARTZ, "0 0/5 14 * * ?", "*/5 14 * * *"),
        (QUARTZ, "0 15 10 ? * 6#3", "15 10 * * 5#3"),
        (QUARTZ, "0 15 10 ? * 7L", "15 10 * * 6L"),
        (QUARTZ, "0 15 10 ? * MON-FRI", "15 10 * * 1-5"),
        (QUARTZ, "10 0 12 1/5 * ?", "10 0 12 */5 * *"),
    ],
)
def test_an_expression_is_rewritten_if_its_meaning_would_change(
    dialect: Dialect, text: str, written: str
) -> None:
    assert expression_for(text, dialect) == written


@pytest.mark.parametrize(
    ("dialect", "text", "words"),
    [
        (VIXIE, "5/15 * * * *", "means only 5 to some crons"),
        (VIXIE, "0 22-2 * * *", "ends before it begins"),
        (VIXIE, "0 0 L * *", "'L' is not a valid day of the month"),
        (VIXIE, "0~30 * * * *", "'0~30' is not a valid minute"),
        (VIXIE, "* * * *", "cron has no expressions of 4 fields"),
        (ROBFIG, "0 0 * * 7", "'7' is not a valid day of the week: use 0 to 6"),
        (ROBFIG, "*/0 * * * *", "a step of 0"),
        (PARSE_CRONTAB, "0 0 13 * 5", "both a day of the month and a weekday"),
        (PARSE_CRONTAB, "H * * * *", "'H' is not a valid minute"),
        (QUARTZ, "0 0 8 15W * ?", "no equivalent of 15W"),
        (QUARTZ, "0 0 8 L-3 * ?", "no equivalent of L-3"),
        (QUARTZ, "0 0 8 1 * MON", "exactly one of the two day fields"),
        (QUARTZ, "0 8 * * *", "no expressions of 5 fields"),
    ],
)
def test_an_expression_without_a_counterpart_is_refused_with_the_reason(
    dialect: Dialect, text: str, words: str
) -> None:
    with pytest.raises(DialectError, match=words.replace("*", r"\*")):
        expression_for(text, dialect)


@settings(max_examples=30)
@given(expressions(7, steps=False))
def test_writing_a_meaning_and_reading_it_again_gives_the_same_meaning(fields: list[str]) -> None:
    meaning = meaning_of(" ".join(fields), VIXIE)
    try:
        written = expression_of(meaning)
    except DialectError:  # a list with `*` in front, beside another restricted field
        assert any(text.startswith("*") and "," in text for text in (fields[2], fields[4]))
        return
    assert "#" in written or meaning_of(written, VIXIE) == meaning


def remarks_on(text: str, dialect: Dialect, zone: str | None = None) -> list[str]:
    draft = Draft(line=1, excerpt="", wanted_name="x")
    cron_timing(draft, text, dialect, MADRID, zone=zone)
    return [remark.message for remark in draft.remarks if remark.severity is Severity.DIFFERS]


@pytest.mark.parametrize(
    ("dialect", "text", "zone", "is_reported"),
    [
        (VIXIE, "30 2 * * *", None, False),  # cron and we both run it once, after the gap
        (VIXIE, "0,30 2 * * *", None, True),  # cron runs it twice then
        (VIXIE, "*/10 2 * * *", None, False),  # both follow the wall clock
        (ROBFIG, "30 2 * * *", None, True),
        (ROBFIG, "30 4 * * *", None, False),
        (ROBFIG, "*/10 * * * *", None, False),
        (ROBFIG, "30 2 * * *", "UTC", False),
        (ROBFIG, "30 1 * * *", "America/New_York", True),
        (PARSE_CRONTAB, "30 2 * * *", None, True),
        (QUARTZ, "0 30 2 * * ?", None, True),
        (QUARTZ, "0 0/5 * * * ?", None, True),  # Quartz leaves out the first of the two hours
        (QUARTZ, "0 30 5 * * ?", None, False),
    ],
)
def test_a_clock_change_is_reported_if_the_source_treats_it_differently(
    dialect: Dialect, text: str, zone: str | None, is_reported: bool
) -> None:
    assert any("clocks of" in message for message in remarks_on(text, dialect, zone)) == is_reported


def test_years_bound_the_schedule_and_years_with_gaps_leave_no_timing() -> None:
    draft = Draft(line=1, excerpt="", wanted_name="x")
    timing = cron_timing(draft, "0 12 19 7 * 2027-2028", PARSE_CRONTAB, MADRID, zone="UTC")
    assert timing == {
        "schedule": {
            "frequency": "cron",
            "expression": "0 12 19 7 *",
            "start": "2027-01-01",
            "finish": "2028-12-31",
            "timezone": "UTC",
        }
    }
    assert cron_timing(draft, "0 12 19 7 * 2027,2030", PARSE_CRONTAB, MADRID, zone="UTC") is None
    assert [remark.severity for remark in draft.remarks] == [Severity.NOTE, Severity.CHANGED]


def test_an_unknown_zone_and_a_rule_that_never_fires_unschedule_a_request() -> None:
    draft = Draft(line=1, excerpt="", wanted_name="x", process={"shell": "x"})
    assert cron_timing(draft, "0 0 31 2 *", VIXIE, MADRID, zone=None) is None
    draft.data["timing"] = cron_timing(draft, "0 0 1 2 *", VIXIE, MADRID, zone="Europe/Madird")
    request = draft.imported("x", "UTC")
    timing = {"schedule": {"frequency": "cron", "expression": "0 0 1 2 *"}}
    assert request.data == {
        "name": "x",
        "scheduled": False,
        "process": {"shell": "x"},
        "timing": timing,
    }
    assert [remark.severity for remark in request.remarks] == [Severity.CHANGED] * 2
