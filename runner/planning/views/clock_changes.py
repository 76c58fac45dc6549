"""Find the clock changes of a zone, and the times of day of a rule they affect. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from runner.timing.rules import Rule
from runner.timing.upcoming import fires, next_fire
from runner.timing.zones import TICK, next_change, wall_at, zone_named

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChange:
    """An instant at which the clocks of a zone jump from one naive wall time to another."""

    at: datetime
    wall_before: datetime
    wall_after: datetime
    zone: str

    @property
    def is_gap(self) -> bool:
        """Whether the clocks skip wall times; otherwise they repeat some."""
        return self.wall_before < self.wall_after

    def __str__(self) -> str:
        before, after = (
            wall.isoformat(" ", "minutes") for wall in (self.wall_before, self.wall_after)
        )
        if self.wall_before.date() == self.wall_after.date():
            after = after[11:]
        direction = "forward" if self.is_gap else "back"
        return f"clocks go {direction} from {before} to {after} in {self.zone}"


def clock_changes(zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[ClockChange]:
    """Yield the clock changes of a zone in (after, until]."""
    while (at := next_change(after, until, zone)) is not None:
        before = wall_at(at - TICK, zone) + TICK
        yield ClockChange(at=at, wall_before=before, wall_after=wall_at(at, zone), zone=zone.key)
        after = at


def times_in(change: ClockChange, rule: Rule) -> list[datetime]:
    """Return the naive wall times of a rule that a clock change skips or repeats."""
    first, end = sorted((change.wall_before, change.wall_after))
    last = end.replace(tzinfo=UTC) - TICK
    named = fires(_on_paper(rule), first.replace(tzinfo=UTC) - TICK)
    walls = [wall.replace(tzinfo=None) for wall in takewhile(lambda wall: wall <= last, named)]
    return walls if _is_in_force(rule, change.at) else []


def _on_paper(rule: Rule) -> Rule:
    """Return the rule in UTC, where no clock changes: its fires are wall times of `rule`."""
    start = rule.start and wall_at(rule.start, zone_named(rule.zone)).replace(tzinfo=UTC)
    return replace(rule, zone="UTC", start=start, finish=None, repetitions=None)


def _is_in_force(rule: Rule, at: datetime) -> bool:
    """Return whether a rule has begun and still has fires at an instant."""
    if rule.start is not None and at < rule.start:
        return False
    return (rule.finish is None or at <= rule.finish) and next_fire(rule, at - _DAY) is not None
