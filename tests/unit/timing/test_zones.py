"""Wall time to instant, compared with a walk through all minutes and the zone database."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import accumulate
from zoneinfo import ZoneInfo, _zoneinfo, available_timezones  # type: ignore[attr-defined]

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import RuleError
from runner.timing.zones import (
    day_exists,
    first_instant,
    instant_on_its_day,
    next_change,
    parse_wall,
    stretches_of,
    to_instant,
    zone_named,
)

MINUTE = timedelta(minutes=1)
MADRID = ZoneInfo("Europe/Madrid")
FIELD = ("run_later", "start")
PLACES = {
    "Europe/Madrid": ["2026-03-29", "2026-10-25"],
    "America/New_York": ["2026-03-08", "2026-11-01"],
    "Australia/Lord_Howe": ["2026-10-04", "2026-04-05"],
    "Africa/Cairo": ["2026-04-24", "2026-10-30"],
    "Asia/Beirut": ["2026-03-29", "2026-10-25"],
    "America/Santiago": ["2026-09-06", "2026-04-05"],
    "America/Havana": ["2026-03-08", "2026-11-01"],
    "America/St_Johns": ["2010-03-14", "2010-11-07"],
    "Antarctica/Troll": ["2026-03-29", "2026-10-25"],
    "Asia/Pyongyang": ["2018-05-05", "2015-08-15"],
    "Asia/Kathmandu": ["1986-01-01"],
    "Pacific/Apia": ["2011-12-30"],
    "Pacific/Kwajalein": ["1993-08-21"],
    "UTC": ["2024-02-29"],
}
places = st.sampled_from([(zone, day) for zone, days in PLACES.items() for day in days])


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


@cache
def minutes_around(zone: str, day: str) -> tuple[list[datetime], list[datetime]]:
    """Return each minute of five days with the wall time that the zone shows at it.

    Wall times keep their zone. Within one zone they compare like naive times (PEP 495).
    """
    begin, place = (
        datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(days=2),
        ZoneInfo(zone),
    )
    minutes = [begin + index * MINUTE for index in range(5 * 1440)]
    return minutes, [minute.astimezone(place) for minute in minutes]


@cache
def latest_around(zone: str, day: str) -> list[datetime]:
    """Return the latest wall time that the zone has shown up to each of these minutes."""
    return list(accumulate(minutes_around(zone, day)[1], max))


@given(place=places, offset=st.integers(0, 2 * 1440))
@settings(max_examples=120)
def test_a_wall_time_is_the_first_minute_that_shows_it_or_a_later_one(
    place: tuple[str, str], offset: int
) -> None:
    minutes = minutes_around(*place)[0]
    asked = wall(place[1]) - timedelta(days=1) + offset * MINUTE
    first = minutes[bisect_left(latest_around(*place), asked.replace(tzinfo=ZoneInfo(place[0])))]
    assert to_instant(asked, ZoneInfo(place[0])) == first


@given(place=places, offsets=st.tuples(st.integers(0, 172_800), st.integers(0, 172_800)))
@settings(max_examples=200)
def test_a_later_wall_time_is_never_an_earlier_instant(
    place: tuple[str, str], offsets: tuple[int, int]
) -> None:
    midnight, zone = datetime.fromisoformat(place[1]) - timedelta(days=1), ZoneInfo(place[0])
    one, other = (
        to_instant(midnight + timedelta(seconds=offset), zone) for offset in sorted(offsets)
    )
    assert one <= other


def test_a_gap_ends_at_one_instant_for_all_its_wall_times() -> None:
    for text in ("02:00", "02:00:01", "02:30", "02:59:59.999999", "03:00"):
        assert to_instant(wall(f"2026-03-29 {text}"), MADRID) == datetime(
            2026, 3, 29, 1, tzinfo=UTC
        )


def test_an_overlap_is_its_first_pass() -> None:
    assert to_instant(wall("2026-10-25 02:30"), MADRID) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_a_skipped_date_exists_nowhere_but_has_an_instant() -> None:
    apia = ZoneInfo("Pacific/Apia")
    assert not day_exists(date(2011, 12, 30), apia)
    assert day_exists(date(2011, 12, 29), apia)
    assert instant_on_its_day(wall("2011-12-30 10:00"), apia) is None
    assert to_instant(wall("2011-12-30 10:00"), apia) == first_instant(date(2011, 12, 31), apia)
    assert list(stretches_of(date(2011, 12, 30), apia)) == []


def test_a_day_whose_end_is_missing_exists() -> None:
    pyongyang = ZoneInfo("Asia/Pyongyang")
    assert instant_on_its_day(wall("2018-05-04 23:45"), pyongyang) == datetime(
        2018, 5, 4, 15, tzinfo=UTC
    )


def test_a_date_that_was_entered_twice_has_two_stretches() -> None:
    found = list(stretches_of(date(2010, 11, 7), ZoneInfo("America/St_Johns")))
    assert [(end - begin) for begin, end in found] == [timedelta(minutes=1), timedelta(hours=24)]


def within(minutes: list[datetime], begin: datetime, end: datetime) -> list[datetime]:
    return minutes[bisect_left(minutes, begin) : bisect_left(minutes, end)]


@given(place=places, shift=st.integers(-1, 1))
@settings(max_examples=40)
def test_the_stretches_of_a_date_are_the_minutes_that_show_it(
    place: tuple[str, str], shift: int
) -> None:
    day, zone = date.fromisoformat(place[1]) + timedelta(days=shift), ZoneInfo(place[0])
    minutes, walls = minutes_around(*place)
    shown = [minute for minute, wall in zip(minutes, walls, strict=True) if wall.date() == day]
    assert shown == [
        minute for stretch in stretches_of(day, zone) for minute in within(minutes, *stretch)
    ]


def changes_in_database(key: str) -> list[datetime]:
    """Return the offset changes from 1970 to 2037, by zoneinfo's reference implementation."""
    zone = _zoneinfo.ZoneInfo.no_cache(key)
    instants = [datetime.fromtimestamp(seconds, UTC) for seconds in zone._trans_utc]
    offsets = [info.utcoff for info in (zone._tti_before, *zone._ttinfos)]
    return [
        instant
        for instant, before, after in zip(instants, offsets, offsets[1:], strict=False)
        if before != after and 1970 < instant.year < 2037
    ]


def check_changes(key: str) -> None:
    expected, found = changes_in_database(key), []
    place, end = datetime(1971, 1, 1, tzinfo=UTC), datetime(2037, 1, 1, tzinfo=UTC)
    zone = ZoneInfo(key)
    while (change := next_change(place, end, zone)) is not None:
        found.append(change)
        place = change
    assert found[: len(expected)] == expected, (
        key
    )  # later ones may come from a rule behind the table


@pytest.mark.parametrize("key", PLACES)
def test_changes_of_clocks_are_those_of_the_database(key: str) -> None:
    check_changes(key)


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_changes_of_clocks_are_those_of_the_database_in_all_zones() -> None:
    for key in sorted(available_timezones()):
        check_changes(key)


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("Europe/Madird", "Europe/Madrid"),
        ("europe/madrid", "Europe/Madrid"),
        ("Madrid", "Europe/Madrid"),
        ("new york", "America/New_York"),
        ("UTC+2", "Etc/GMT-2"),
        ("-05:00", "Etc/GMT+5"),
        ("", "UTC"),
        ("Europe", "Europe/"),
        ("right/UTC", "UTC"),
        ("../../etc/passwd", "IANA"),
        ("x" * 5000, "IANA"),
        ("Europe/Madrid\0", "Europe/Madrid"),
    ],
)
def test_an_unknown_zone_is_refused_with_a_suggestion(key: str, suggestion: str) -> None:
    with pytest.raises(RuleError, match="no time zone") as caught:
        zone_named(key)
    assert suggestion in str(caught.value.suggestion)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-24 18:00", "2026-12-24T17:00:00"),
        ("2026-12-24T18:00:30", "2026-12-24T17:00:30"),
        ("2026-12-24 18:00Z", "2026-12-24T18:00:00"),
        ("2026-12-24 18:00 +05:30", "2026-12-24T12:30:00"),
        ("2026-12-24T18:00-0500", "2026-12-24T23:00:00"),
        ("2026-03-29 02:30", "2026-03-29T01:00:00"),
        ("9999-12-31 23:59", "9999-12-29T23:00:00"),
    ],
)
def test_a_wall_time_is_read_in_its_zone_or_at_its_offset(text: str, expected: str) -> None:
    assert parse_wall(text, MADRID, field=FIELD) == datetime.fromisoformat(expected).replace(
        tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2026-12-24", "at what time"),
        ("2026-02-30 10:00", "there is no 2026-02-30"),
        ("2026-12-24 24:00", "there is no"),
        ("2026-12-24 18", "is not a time"),
        ("24.12.2026 18:00", "is not a time"),
        ("tomorrow", "is not a time"),
        ("2026-12-24 18:00\n", "is not a time"),
        ("2026-12-24 18:00+25:00", "no UTC offset"),
        ("1969-12-31 18:00", "too long ago"),
        ("٢٠٢٦-12-24 18:00", "is not a time"),
        ("9" * 100_000, "is not a time"),
    ],
)
def test_a_text_that_is_not_a_wall_time_is_refused_at_its_field(text: str, message: str) -> None:
    with pytest.raises(RuleError, match=message) as caught:
        parse_wall(text, MADRID, field=FIELD)
    assert caught.value.field == FIELD
    assert len(str(caught.value)) < 120
