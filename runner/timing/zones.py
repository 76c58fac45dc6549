"""Convert wall time to instants and back, as jobs.d/README.md says.

Three facts make this hard:

- **Gap**: when clocks go forward, the skipped wall times have no instant. This module
  maps each of them to the instant at which the gap ends.
- **Overlap**: when clocks go back, the repeated wall times have two instants. This
  module takes the first.
- **Missing days**: a zone that moves across the date line skips a whole date.

Python reports both ambiguities through `fold` (PEP 495): of one wall time, `fold=0`
uses the offset before the change and `fold=1` the offset after it.

Pure except for the zone data: this module reads the data of each zone once and keeps it
until `use_zone_data` replaces it. Everything that a runner computes in one turn
therefore uses the same data.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import ParamSpec, TypeVar
from zoneinfo import ZoneInfo

from runner.errors import RuleError
from runner.system.zone_data import read_zone
from runner.timing.texts import Moment, read_moment, shortened
from runner.timing.unknown_zones import NO_ZONES, suggestion_for

TICK = timedelta(microseconds=1)
"""The resolution of datetime. (t, …] becomes [t + TICK, …]."""

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)

END = datetime(9999, 12, 30, tzinfo=UTC)
"""The end of time here. It is two days before datetime's maximum, so adding the offset
of any zone (at most a day) cannot overflow.
"""

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
# The zone data in use by key: the bytes of the file, to notice a change, and the zone.
_in_use: dict[str, tuple[bytes, ZoneInfo]] = {}
# The caches that `kept_by_zone_data` made; `use_zone_data` clears them.
_forget_results: list[Callable[[], None]] = []


def zone_named(key: str) -> ZoneInfo:
    """Return the zone of an IANA key.

    The first call for a key reads a file. Raises RuleError, which suggests the nearest
    names, if the zone does not exist.
    """
    if key in _in_use:
        return _in_use[key][1]
    # "right/…" counts leap seconds and so disagrees with datetime; "posix/…" copies the
    # plain keys.
    if not key.startswith(("right/", "posix/")) and key not in NO_ZONES:
        raw = read_zone(key)
        if raw is not None and (zone := _zone_in(key, raw)) is not None:
            _in_use[key] = (raw, zone)
            return zone
    raise RuleError(f"there is no time zone {shortened(key)}", suggestion=suggestion_for(key))


def zone_data_in_use() -> dict[str, bytes]:
    """Return the zone data of each key that was used so far, sorted by key."""
    return {key: raw for key, (raw, _) in sorted(_in_use.items())}


def zone_digests() -> dict[str, str]:
    """Return a digest of the zone data of each key that was used so far."""
    from hashlib import sha256  # slow to import, and commands that only look need none

    return {key: sha256(raw).hexdigest() for key, raw in zone_data_in_use().items()}


def are_zones(digests: Mapping[str, str]) -> bool:
    """Return whether the zones in use have these digests; take the zones of all keys in use."""
    try:
        for key in digests:
            zone_named(key)
    except RuleError:
        return False
    return digests.items() <= zone_digests().items()


def changed_zone_data() -> dict[str, bytes]:
    """Return the new data of each zone in use whose file changed. Reads files.

    A zone whose file is missing or damaged keeps the data in use.
    """
    found = {key: read_zone(key) for key in _in_use}
    return {
        key: raw
        for key, raw in found.items()
        if raw is not None and raw != _in_use[key][0] and _zone_in(key, raw) is not None
    }


def use_zone_data(data: Mapping[str, bytes]) -> None:
    """Use new data for some zones from now on, and clear the caches.

    Bytes that are not zone data change nothing.
    """
    for key, raw in data.items():
        if (zone := _zone_in(key, raw)) is not None:
            _in_use[key] = (raw, zone)
    for forget in _forget_results:
        forget()


def kept_by_zone_data(
    maxsize: int,
) -> Callable[[Callable[_Parameters, _Result]], Callable[_Parameters, _Result]]:
    """Decorate a function like `lru_cache`, and clear its cache when zone data changes."""

    def decorated(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
        keeping = lru_cache(maxsize=maxsize)(function)
        _forget_results.append(keeping.cache_clear)
        return keeping  # type: ignore[return-value]  # lru_cache forgets the parameters' types

    return decorated


def _zone_in(key: str, raw: bytes) -> ZoneInfo | None:
    """Parse zone data (RFC 8536); return None if it is damaged."""
    try:
        # zoneinfo reads the footer up to a newline. In truncated data there is none, and
        # zoneinfo would loop forever, so add one.
        return ZoneInfo.from_file(io.BytesIO(raw + b"\n"), key=key)
    except (ValueError, IndexError, OverflowError, AssertionError, struct.error):
        return None


def offset_at(instant: datetime, zone: ZoneInfo) -> timedelta:
    """Return how far the clocks of `zone` are ahead of UTC at an instant; negative if behind."""
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None  # impossible: a ZoneInfo has an offset at every instant
    return offset


def wall_at(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return the naive wall time that the clocks of `zone` show at an instant."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def to_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the UTC instant of a naive wall time.

    In an overlap, return the first of the two instants. In a gap, return the instant at
    which the gap ends, whatever the wall time inside it: in a gap from 02:00 to 03:00,
    02:30 becomes 03:00. The result is monotonic: a later wall time never becomes an
    earlier instant.

    >>> to_instant(datetime(2026, 3, 29, 2, 30), ZoneInfo("Europe/Madrid"))
    datetime.datetime(2026, 3, 29, 1, 0, tzinfo=datetime.timezone.utc)
    """
    # PEP 495. An unambiguous wall time has equal offsets. In an overlap, fold=0 is the
    # offset before the change, which is greater and gives the first of the two instants.
    first, second = zone.utcoffset(wall), zone.utcoffset(wall.replace(fold=1))
    assert first is not None and second is not None  # impossible: ZoneInfo has an offset always
    instant = (wall - first).replace(tzinfo=UTC)
    if first >= second:
        return instant
    # Only in a gap does fold=1 have the greater offset. Both readings are wrong there: by
    # the old offset the wall time lies after the change, by the new one before it. The
    # change is therefore between the two. Example: a gap from 02:00 to 03:00, offsets +1
    # and +2. 02:30 reads as 01:30Z and 00:30Z, and the clocks change at 01:00Z.
    change = next_change((wall - second).replace(tzinfo=UTC), instant, zone)
    assert change is not None  # impossible: the offsets differ at the two ends
    return change


def next_change(after: datetime, until: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first instant in (after, until] at which the offset changes, or None.

    ZoneInfo does not publish its list of changes, so compare the offset once a day. That
    is enough: no zone ever changed its clocks and changed them back within a day.
    """
    offset, calm = offset_at(after, zone), after
    while calm < until:
        probe = min(calm + _DAY, until)
        if offset_at(probe, zone) != offset:
            # `calm` may have microseconds; `_bisected` needs a whole second to start from.
            return _bisected(calm.replace(microsecond=0), probe, offset, zone)
        calm = probe
    return None


def _bisected(before: datetime, after: datetime, offset: timedelta, zone: ZoneInfo) -> datetime:
    """Return the whole second in (before, after] at which the offset stops being `offset`.

    Clocks change at whole seconds: the zone data (RFC 8536) counts in seconds.
    """
    # Seconds after `before`: at `low` the offset is the old one, at `high` the new one.
    # Negating twice rounds up, so that `high` is not before `after`.
    low, high = 0, -((before - after) // _SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(before + middle * _SECOND, zone) == offset:
            low = middle
        else:
            high = middle
    return before + high * _SECOND


def instant_on_its_day(wall: datetime, zone: ZoneInfo) -> datetime | None:
    """Return `to_instant(wall)`, or None if the zone skipped the whole day of `wall`.

    Apia moved across the date line and had no 30 December 2011.
    """
    instant = to_instant(wall, zone)
    # A gap across midnight can move 23:30 into the next day. That still counts as a fire
    # of its day, as long as the day had other wall times.
    if wall_at(instant, zone).date() == wall.date() or day_exists(wall.date(), zone):
        return instant
    return None


def day_exists(day: date, zone: ZoneInfo) -> bool:
    """Return whether the clocks of `zone` ever showed this date."""
    # A skipped day is one gap: it and the next day both start at the end of the gap.
    return first_instant(day, zone) != first_instant(day + _DAY, zone)


def first_instant(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of a date in `zone`; where midnight is missing, the gap's end."""
    return to_instant(datetime.combine(day, time()), zone)


def stretches_of(day: date, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """Yield the half-open stretches of time in which the date is `day`.

    Usually there is one. A skipped date has none. A date has two if the clocks went back
    across its midnight, as in St John's until 2011: at 00:01 they went back to 23:01 of
    the day before.
    """
    begin, midnight = first_instant(day, zone), datetime.combine(day + _DAY, time())
    # The last midnight: the second one (fold=1) where the clocks showed midnight twice.
    end = max(
        first_instant(day + _DAY, zone), (midnight.replace(fold=1, tzinfo=zone)).astimezone(UTC)
    )
    # Walk from midnight to midnight and from change to change. Between two of these
    # points the offset is constant, so the date is constant too.
    while begin < end:
        shown = wall_at(begin, zone)
        until = min(end, begin + (datetime.combine(shown.date() + _DAY, time()) - shown))
        until = next_change(begin, until, zone) or until
        if shown.date() == day:
            yield begin, until
        begin = until


def parse_wall(text: str, zone: ZoneInfo, *, field: tuple[str | int, ...]) -> datetime:
    """Read `2026-12-24 18:00[:30]`, with `T` or a space, as a UTC instant.

    An offset or `Z` in the text takes precedence over `zone`. Raises RuleError for any
    other text, including a date alone.
    """
    moment = read_moment(text, field=field)
    if moment.clock is None:
        raise RuleError(
            f"{text} is a date alone; at what time?", field=field, suggestion=f"{text} 18:00"
        )
    return instant_of(moment, zone)


def instant_of(moment: Moment, zone: ZoneInfo) -> datetime:
    """Return the UTC instant that a text means in `zone`; a date alone means its first instant.

    A time after END becomes END.
    """
    wall = min(datetime.combine(moment.day, moment.clock or time()), END.replace(tzinfo=None))
    if moment.offset is not None:
        return (wall - moment.offset).replace(tzinfo=UTC)
    return to_instant(wall, zone)
