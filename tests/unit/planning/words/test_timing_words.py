"""Timings in plain English."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runner.lifecycle import Misfire
from runner.planning.words.timing_words import timing_words
from runner.requests.model import RunImmediately, RunLater, Schedule, Timing
from runner.timing.parsing import parse_rule

EVE = datetime(2026, 12, 24, 17, tzinfo=UTC)


def schedule_of(
    misfire: Misfire = Misfire.SKIP, spread: timedelta = timedelta(), **data: Any
) -> Schedule:
    return Schedule(
        rule=parse_rule(data, default_zone="Europe/Madrid"), misfire=misfire, spread=spread
    )


@pytest.mark.parametrize(
    ("timing", "words"),
    [
        (None, "no timing: it runs on demand"),
        (RunImmediately(), "once, when it is first seen"),
        (RunLater(start=EVE, zone="Europe/Madrid"), "once, at 2026-12-24 18:00 (Europe/Madrid)"),
        (
            RunLater(start=EVE + timedelta(seconds=5), zone="UTC"),
            "once, at 2026-12-24 17:00:05 (UTC)",
        ),
        (
            RunLater(start=EVE, zone="UTC", misfire=Misfire.SKIP),
            "once, at 2026-12-24 17:00 (UTC); if that is missed, it does not run",
        ),
        (
            RunLater(start=EVE, zone="UTC", misfire=Misfire.FIRE_ALL),
            "once, at 2026-12-24 17:00 (UTC)",
        ),
        (schedule_of(frequency="minutely", interval=5), "every 5 minutes (Europe/Madrid)"),
        (
            schedule_of(frequency="daily", days="weekdays", at="02:00", finish="2027-06-30"),
            "Monday to Friday at 02:00, until the end of 2027-06-30 (Europe/Madrid)",
        ),
        (
            schedule_of(frequency="monthly", day="second sunday", at="09:00"),
            "every month on the second Sunday at 09:00 (Europe/Madrid)",
        ),
        (
            schedule_of(frequency="hourly", spread=timedelta(minutes=5)),
            "every hour (Europe/Madrid), each up to 5m later",
        ),
        (
            schedule_of(Misfire.FIRE_ONCE, frequency="hourly"),
            "every hour (Europe/Madrid); of missed fires, the latest runs late",
        ),
        (
            schedule_of(Misfire.FIRE_ALL, frequency="hourly"),
            "every hour (Europe/Madrid); missed fires run late, at most 100",
        ),
    ],
)
def test_a_timing_reads_as_a_person_would_say_it(timing: Timing | None, words: str) -> None:
    assert timing_words(timing) == words


@pytest.mark.parametrize("frequency", ["secondly", "minutely", "hourly"])
def test_words_are_one_line_whatever_the_timing(frequency: str) -> None:
    timing = schedule_of(
        Misfire.FIRE_ALL,
        timedelta(seconds=90),
        frequency=frequency,
        interval=7,
        start="2026-01-01",
        finish="2027-01-01",
        repetitions=12,
    )
    assert "\n" not in timing_words(timing)
    assert "1m30s" in timing_words(timing)
