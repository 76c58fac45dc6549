"""The table of fires around clock changes, for the documentation. Each cell shows the
wall time of its zone at a fire.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from runner.planning.views.clock_changes import ClockChange, clock_changes
from runner.timing.parsing import parse_rule
from runner.timing.upcoming import fires

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOURLY: dict[str, object] = {"frequency": "hourly"}
CRON: dict[str, object] = {"frequency": "cron", "expression": "30 * * * *"}
HEAD = ("zone", "the clocks go", "`daily` at", "fires", "`hourly` fires", "cron `30 * * * *` fires")


@dataclass(frozen=True, kw_only=True)
class Transition:
    """A day near a clock change of a zone, and a time of day that is skipped or repeated."""

    zone: str
    near: date
    at: str

    @property
    def change(self) -> ClockChange:
        """The clock change itself."""
        noon = datetime(self.near.year, self.near.month, self.near.day, 12, tzinfo=UTC)
        (found,) = clock_changes(ZoneInfo(self.zone), noon - DAY, noon + DAY)
        return found

    @property
    def daily(self) -> dict[str, object]:
        """The schedule whose time of day the change affects."""
        return {"frequency": "daily", "at": self.at}

    def days(self) -> tuple[datetime, datetime]:
        """Return the span for the daily schedule: the day before, the day, the day after."""
        return self.change.at - 26 * HOUR, self.change.at + 26 * HOUR

    def hours(self) -> tuple[datetime, datetime]:
        """Return the span for the other schedules: an hour before the change to an hour after."""
        return self.change.at - HOUR, self.change.at + HOUR


TRANSITIONS = [
    Transition(zone="Europe/Madrid", near=date(2026, 3, 29), at="02:30"),
    Transition(zone="Europe/Madrid", near=date(2026, 10, 25), at="02:30"),
    Transition(zone="America/New_York", near=date(2026, 3, 8), at="02:30"),
    Transition(zone="America/New_York", near=date(2026, 11, 1), at="01:30"),
    Transition(zone="Australia/Lord_Howe", near=date(2026, 10, 4), at="02:15"),
    Transition(zone="Australia/Lord_Howe", near=date(2026, 4, 5), at="01:45"),
    Transition(zone="Africa/Cairo", near=date(2026, 4, 24), at="00:30"),
    Transition(zone="Africa/Cairo", near=date(2026, 10, 29), at="23:30"),
    Transition(zone="Pacific/Apia", near=date(2011, 12, 30), at="10:00"),
    Transition(zone="Pacific/Apia", near=date(2012, 4, 1), at="03:30"),
]


def table() -> Iterator[str]:
    """Yield the lines of the table."""
    yield from (_row(HEAD), "|" + "---|" * len(HEAD))
    for each in TRANSITIONS:
        yield _row((each.zone, _reported(each.change), each.at, *cells(each)))


def cells(each: Transition) -> list[str]:
    """Return when the three schedules fire around a change."""
    stretches = ((each.daily, each.days()), (HOURLY, each.hours()), (CRON, each.hours()))
    return [shown(_fires(schedule, each.zone, *stretch), each) for schedule, stretch in stretches]


def shown(instants: list[datetime], each: Transition) -> str:
    """Return instants as wall times with UTC offsets; a new date is shown once."""
    texts, day = [], None
    for instant in instants:
        wall = instant.astimezone(ZoneInfo(each.zone))
        offset = wall.isoformat()[-6:].removesuffix(":00")
        texts.append(
            f"{wall:%H:%M}{offset}" if wall.date() == day else f"{wall:%-d %b %H:%M}{offset}"
        )
        day = wall.date()
    return ", ".join(texts)


def _fires(
    schedule: dict[str, object], zone: str, first: datetime, last: datetime
) -> list[datetime]:
    rule = parse_rule(dict(schedule), default_zone=zone)
    return list(
        takewhile(lambda fire: fire <= last, fires(rule, first - timedelta(microseconds=1)))
    )


def _reported(change: ClockChange) -> str:
    way = "forward" if change.is_gap else "back"
    before, after = change.wall_before, change.wall_after
    shown_after = f"{after:%H:%M}" if before.date() == after.date() else f"{after:%-d %b %H:%M}"
    return f"{way}: {before:%-d %b %Y %H:%M} → {shown_after}"


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"
