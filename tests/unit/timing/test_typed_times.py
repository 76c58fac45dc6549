"""Times on the command line: every form, counted toward the past and the future."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runner.errors import UsageError
from runner.timing.local_times import local_text
from runner.timing.typed_times import OfDay, Toward, read_end, read_time
from runner.timing.zones import END

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MADRID = "Europe/Madrid"  # one hour ahead of UTC on that day
PAST, FUTURE, NEITHER = Toward.PAST, Toward.FUTURE, Toward.NEITHER
FORMS = [
    ("2026-12-24T18:00:00.000125Z", NEITHER, "2026-12-24 18:00:00.000125"),
    ("2026-12-24T18:00+02:00", NEITHER, "2026-12-24 16:00"),
    ("2026-12-24 18:00", NEITHER, "2026-12-24 17:00"),
    ("2026-12-24T18:00:30", NEITHER, "2026-12-24 17:00:30"),
    ("2026-12-24", NEITHER, "2026-12-23 23:00"),
    ("now", NEITHER, "2026-03-01 12:00"),
    ("today", NEITHER, "2026-02-28 23:00"),
    ("yesterday", NEITHER, "2026-02-27 23:00"),
    ("19:57", NEITHER, "2026-03-01 18:57"),
    ("19:57", PAST, "2026-02-28 18:57"),
    ("19:57", FUTURE, "2026-03-01 18:57"),
    ("03:15:30", PAST, "2026-03-01 02:15:30"),
    ("03:15:30", FUTURE, "2026-03-02 02:15:30"),
    ("2h", PAST, "2026-03-01 10:00"),
    ("1d2h", FUTURE, "2026-03-02 14:00"),
]


@pytest.mark.parametrize(("text", "toward", "meant"), FORMS)
def test_each_form_of_a_time_means_an_instant(text: str, toward: Toward, meant: str) -> None:
    assert read_time("--at", text, MADRID, NOW, toward=toward) == datetime.fromisoformat(
        f"{meant}+00:00"
    )


@pytest.mark.parametrize("text", ["2026-12-24", "today", "yesterday"])
def test_a_date_means_its_first_instant_or_as_an_end_its_whole_day(text: str) -> None:
    first, last, after = (
        read_time("--until", text, MADRID, NOW, toward=FUTURE, of_day=of_day)
        for of_day in (OfDay.FIRST, OfDay.LAST, OfDay.AFTER)
    )
    assert (after - first, after - last) == (timedelta(days=1), timedelta(microseconds=1))
    with pytest.raises(UsageError, match=f"--at: {text} is a date alone; at what time"):
        read_time("--at", text, MADRID, NOW, toward=NEITHER, of_day=OfDay.REFUSED)


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Lima"])
@pytest.mark.parametrize("of_day", [OfDay.FIRST, OfDay.LAST, OfDay.AFTER])
@pytest.mark.parametrize("text", ["9999-12-31T23:59:59Z", "9999-12-31", "9999-12-31 23:59"])
def test_the_end_of_time_can_be_shown_in_every_zone(text: str, of_day: OfDay, zone: str) -> None:
    found = read_time("--until", text, zone, NOW, toward=FUTURE, of_day=of_day)
    assert found <= END
    assert local_text(found, zone)


@pytest.mark.parametrize(
    ("text", "what"),
    [("2026-02-01", "not in the future"), ("9999-12-31T23:59:59Z", "not before 9999-12-30")],
)
def test_an_end_lies_in_the_future_and_can_be_shown(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=f"--until: {text} is {what}"):
        read_end(text, MADRID, NOW)
    assert read_end("2h", MADRID, NOW) == NOW + timedelta(hours=2)
    assert read_end("2026-03-01", MADRID, NOW) == datetime(2026, 3, 1, 23, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "soon", "30", "2 h", "25:00", "tomorrow", "2026-12-24T18"])
def test_anything_else_is_refused_with_a_list_of_the_forms(text: str) -> None:
    with pytest.raises(
        UsageError,
        match=r"^--since: .*; .*2026-12-24 18:00.*19:57, now, a date, today, yesterday or a dur",
    ):
        read_time("--since", text, MADRID, NOW, toward=PAST)


def test_a_duration_is_refused_where_its_direction_is_ambiguous() -> None:
    with pytest.raises(UsageError, match=r"^--at: '2h' is not a time; .*today or yesterday$"):
        read_time("--at", "2h", MADRID, NOW, toward=NEITHER)


def test_a_date_that_does_not_exist_is_refused_with_the_reason() -> None:
    with pytest.raises(UsageError, match="there is no 2026-02-30"):
        read_time("--since", "2026-02-30", MADRID, NOW, toward=PAST)


@pytest.mark.parametrize("text", ["25:00", "soon", "2h"])
def test_an_option_that_needs_a_time_of_day_lists_no_form_that_it_refuses(text: str) -> None:
    with pytest.raises(UsageError, match="; write a time like 2026-12-24 18:00, a time of day"):
        read_time("--at", text, MADRID, NOW, toward=NEITHER, of_day=OfDay.REFUSED)
    with pytest.raises(UsageError, match=r"19:57 or now$"):
        read_time("--at", text, MADRID, NOW, toward=NEITHER, of_day=OfDay.REFUSED)
