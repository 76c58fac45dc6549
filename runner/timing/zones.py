"""Wall time to instant and back, by DESIGN.md, Zones. Pure (zone data is cached by zoneinfo)."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo


def zone_named(key: str) -> ZoneInfo:
    """Return the zone of an IANA key. Raises RuleError, with the nearest names, for one that does not exist."""
    raise NotImplementedError


def to_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the UTC instant of a naive wall time: in a gap the first valid instant after it, in an overlap the first.

    "The first valid instant after the gap" is the instant at which the gap ends (02:30 in a gap from 02:00 to 03:00
    is 03:00), and it is the same for every wall time of the gap.
    """
    raise NotImplementedError


def parse_wall(text: str, zone: ZoneInfo, *, field: tuple[str | int, ...]) -> datetime:
    """Read `2026-12-24 18:00[:30]`, with `T` or a blank, as a UTC instant; an offset or `Z` in the text wins over `zone`.

    Raises RuleError for what is no such time, a date alone included.
    """
    raise NotImplementedError
