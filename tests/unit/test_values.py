"""Durations, sizes, ids and instants as text."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.values import (
    EPOCH,
    clock_text,
    duration_text,
    from_microseconds,
    instant_text,
    neutral,
    new_id,
    parse_duration,
    parse_instant,
    parse_size,
    size_text,
    to_microseconds,
)

instants = st.integers(-62_000_000_000 * 10**6, 253_402_000_000 * 10**6).map(
    lambda count: EPOCH + timedelta(microseconds=count)
)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("1h30m", timedelta(minutes=90)),
        ("1d2h3m4s5ms", timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)),
        ("90m", timedelta(minutes=90)),
        ("0s", timedelta()),
        ("36525d", timedelta(days=36525)),
        ("1234567890123ms", timedelta(milliseconds=1234567890123)),
        ("0000000000000000000007s", timedelta(seconds=7)),
    ],
)
def test_a_duration_is_the_sum_of_its_parts(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["5", "30", "0", "1.5"])
def test_a_bare_number_is_refused_with_a_question_for_its_unit(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text} what[?] .*{text}s, {text}m, {text}h"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "5 s",
        " 5s",
        "5s\n",
        "-5s",
        "1.5h",
        "5x",
        "5S",
        "30m1h",
        "1h1h",
        "5sec",
        "PT5S",
        "٣s",
        "²s",
        "1h 30m",
    ],
)
def test_a_text_that_is_not_a_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write it like 500ms, 30s"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["36526d", "36525d1ms", "876601h", "9999999999999999s", f"{'9' * 400}d"]
)
def test_no_duration_is_longer_than_a_hundred_years(text: str) -> None:
    with pytest.raises(ValueError, match="longer than a hundred years"):
        parse_duration(text)


@given(st.integers(0, 36525 * 86_400_000).map(lambda count: timedelta(milliseconds=count)))
def test_a_duration_is_read_as_it_was_written(duration: timedelta) -> None:
    assert parse_duration(duration_text(duration)) == duration


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(microseconds=999), "0s"),
        (timedelta(seconds=60), "1m"),
        (timedelta(days=1, milliseconds=1), "1d1ms"),
        (timedelta(hours=47, minutes=59, seconds=59), "1d23h59m59s"),
    ],
)
def test_a_duration_is_written_with_the_largest_units_and_without_empty_ones(
    duration: timedelta, text: str
) -> None:
    assert duration_text(duration) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "00:00:00.000"),
        (0.0004, "00:00:00.000"),
        (59.9996, "00:01:00.000"),
        (3661.5, "01:01:01.500"),
        (30 * 3600, "30:00:00.000"),
        (1234 * 3600, "1234:00:00.000"),
        (-1.5, "-00:00:01.500"),
        (-0.0001, "00:00:00.000"),
    ],
)
def test_row_58_hours_do_not_wrap_at_24(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512B", 512),
        ("1kB", 1000),
        ("1KB", 1000),
        ("10MB", 10_000_000),
        ("10 MB", 10_000_000),
        ("2GB", 2 * 10**9),
        ("1TB", 10**12),
        ("64KiB", 65536),
        ("1MiB", 1 << 20),
        ("1GiB", 1 << 30),
        ("1TiB", 1 << 40),
        ("0B", 0),
    ],
)
def test_a_size_is_bytes_in_decimal_or_binary_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "10", "MB", "1.5MB", "-1MB", "10mb", "10M", "1e3B", "٣B", "10MB\n", f"{'9' * 16}B"]
)
def test_a_text_that_is_not_a_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write it like 64KiB"):
        parse_size(text)


def test_an_id_is_a_uuid_of_version_7_that_carries_its_millisecond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_772_366_400_123_999_999)
    identity = UUID(new_id())
    assert identity.version == 7
    assert identity.variant == "specified in RFC 4122"
    assert identity.int >> 80 == 1_772_366_400_123


def test_ids_sort_by_the_time_of_their_creation(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count(10**18, 10**6)
    monkeypatch.setattr(time, "time_ns", lambda: next(ticks))
    made = [new_id() for _ in range(50)]
    assert made == sorted(made)


def test_ids_of_one_millisecond_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    assert len({new_id() for _ in range(1000)}) == 1000


@given(instants)
def test_an_instant_is_read_as_it_was_written(instant: datetime) -> None:
    assert parse_instant(instant_text(instant)) == instant


@given(instants, instants)
def test_texts_of_instants_sort_as_the_instants_do(one: datetime, other: datetime) -> None:
    assert (instant_text(one) < instant_text(other)) == (one < other)


def test_an_instant_is_written_in_utc_with_microseconds_whatever_its_offset() -> None:
    madrid_summer = timezone(timedelta(hours=2))
    assert (
        instant_text(datetime(2026, 7, 1, 2, tzinfo=madrid_summer)) == "2026-07-01T00:00:00.000000Z"
    )


def test_an_instant_without_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="no UTC offset"):
        parse_instant("2026-07-01T02:00:00")


@given(instants)
def test_microseconds_are_exact(instant: datetime) -> None:
    assert from_microseconds(to_microseconds(instant)) == instant


def test_microseconds_count_from_1970() -> None:
    assert to_microseconds(EPOCH) == 0
    assert to_microseconds(datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)) == 1_767_225_600_000_001


@given(st.integers(0, 10**15 - 1))
def test_a_size_is_written_as_it_is_read(size: int) -> None:
    assert parse_size(size_text(size)) == size


@given(st.text(alphabet=st.characters()))
def test_a_neutral_text_is_one_line_cannot_control_a_terminal_and_is_stable(
    text: str,
) -> None:
    shown = neutral(text)
    assert shown.isprintable()
    assert neutral(shown) == shown
    assert text == shown or not text.isprintable()


def test_every_character_that_controls_a_terminal_or_hides_text_is_escaped() -> None:
    controls = [*range(0x20), *range(0x7F, 0xA0)]
    bidi = [0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    invisible = [
        0xAD,
        0x180E,
        *range(0x200B, 0x200E),
        0x2028,
        0x2029,
        0x2060,
        0xFEFF,
        0xFFF9,
        0xE0001,
        0xE0041,
    ]
    for code in (*controls, *bidi, *invisible, 0xD800):
        assert neutral(f"a{chr(code)}b") == f"a\\{_escape(code)}b"
    assert neutral("ñ 東京\u00a0\U0001f600\u3000.") == "ñ 東京 \U0001f600 ."


def _escape(code: int) -> str:
    if code < 0x100:
        return f"x{code:02x}"
    return f"u{code:04x}" if code < 0x10000 else f"U{code:08x}"
