"""Quiet windows: when a message may be sent. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from runner.requests.receivers import QuietWindow
from runner.timing.zones import to_instant, wall_at, zone_named

_DAY = timedelta(days=1)
_MOST_WINDOWS = 100
"""How many windows may follow one another without a gap before the message goes out anyway."""


def quiet_until(
    now: datetime, receiver: str, windows: Iterable[QuietWindow], zone: str
) -> datetime | None:
    """Return when the quiet in which `now` lies ends for a receiver; None without quiet.

    Windows that touch or overlap are one. `zone` is the runner's.
    """
    own = [each for each in windows if each.receivers is None or receiver in each.receivers]
    until = now
    for _ in range(_MOST_WINDOWS):
        ends = [end for window in own if (end := _end_around(window, until, zone)) is not None]
        if not ends:
            break
        until = max(ends)
    return until if until > now else None


def _end_around(window: QuietWindow, now: datetime, default_zone: str) -> datetime | None:
    """Return the end of the span of a window that contains `now`."""
    zone = zone_named(window.zone or default_zone)
    today = wall_at(now, zone).date()
    # A span that began yesterday may reach into today, and with a step of the zone no further.
    for day in (today - _DAY, today):
        begin, end = _span(window, datetime.combine(day, window.begins), zone)
        if day.weekday() in window.days and begin <= now < end:
            return end
    return None


def _span(window: QuietWindow, begins: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    ends = datetime.combine(begins.date(), window.ends)
    if ends <= begins:
        ends += _DAY
    return to_instant(begins, zone), to_instant(ends, zone)
