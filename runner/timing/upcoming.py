"""The one question of a trigger: when does a rule fire after t? Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from runner.timing.rules import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The fires of a rule in a stretch of time: how many, the first, and the latest few in ascending order."""

    count: int
    first: datetime | None
    latest: tuple[datetime, ...]


def next_fire(rule: Rule, after: datetime, *, counted_from: datetime | None = None) -> datetime | None:
    """Return the first fire later than `after` (UTC), or None if there is none.

    `counted_from` moves the place from which `repetitions` are counted, from the rule's start to just after that
    instant: what a reschedule does.
    """
    raise NotImplementedError


def fires(rule: Rule, after: datetime, *, counted_from: datetime | None = None) -> Iterator[datetime]:
    """Yield the fires later than `after`, ascending, without end if the rule has none."""
    raise NotImplementedError


def span(
    rule: Rule, after: datetime, until: datetime, *, keep: int = 1, counted_from: datetime | None = None
) -> Span:
    """Sum up the fires in (after, until]; `latest` holds the last `keep` of them. Interval rules do it by arithmetic."""
    raise NotImplementedError


def spread_offset(name: str, spread: timedelta) -> timedelta:
    """Return the stable delay of a request within its spread: at least 0, below `spread`, whole milliseconds."""
    raise NotImplementedError
