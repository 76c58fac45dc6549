"""Wall time to instant and back, by DESIGN.md, Zones. Pure but for the zone data in use.

The zone data of a key is read once and then stays in use until `use_zone_data` replaces
it, so that all that a runner computes in one turn goes by the same data.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import ParamSpec, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from runner.errors import RuleError
from runner.spelling import nearest_word
from runner.system.zone_data import read_zone
from runner.timing.texts import Moment, read_moment, shortened

TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_NO_ZONES = frozenset({"localtime", "posixrules", "Factory"})
_BARE_OFFSET = re.compile(r"(?:UTC|GMT)? ?([+-])0?(\d{1,2})(?::?00)?", re.ASCII | re.IGNORECASE)
# No instant beyond it is computed, so that no zone's offset can carry one out of datetime's range.
END = datetime(9999, 12, 30, tzinfo=UTC)

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
_in_use: dict[str, tuple[bytes, ZoneInfo]] = {}
_forget_results: list[Callable[[], None]] = []


def zone_named(key: str) -> ZoneInfo:
    """Return the zone of an IANA key. Raises RuleError, with the nearest names, for one
    that does not exist.
    """
    if key in _in_use:
        return _in_use[key][1]
    # "right/…" counts leap seconds, "localtime" means something else on each machine.
    if not key.startswith(("right/", "posix/")) and key not in _NO_ZONES:
        raw = read_zone(key)
        if raw is not None and (zone := _zone_in(key, raw)) is not None:
            _in_use[key] = (raw, zone)
            return zone
    raise RuleError(f"there is no time zone {shortened(key)}", suggestion=_nearest_zones(key))


def zone_data_in_use() -> dict[str, bytes]:
    """Return the zone data of each key that was asked for, in the order of the keys."""
    return {key: raw for key, (raw, _) in sorted(_in_use.items())}


def changed_zone_data() -> dict[str, bytes]:
    """Return the zone data that the disk has now for keys in use, where it is another. Reads files.

    A zone that is gone, or damaged, keeps the data that is in use.
    """
    found = {key: read_zone(key) for key in _in_use}
    return {
        key: raw
        for key, raw in found.items()
        if raw is not None and raw != _in_use[key][0] and _zone_in(key, raw) is not None
    }


def use_zone_data(data: Mapping[str, bytes]) -> None:
    """Compute with other data of some zones from now on. Data that is no zone data changes nothing."""
    for key, raw in data.items():
        if (zone := _zone_in(key, raw)) is not None:
            _in_use[key] = (raw, zone)
    for forget in _forget_results:
        forget()


def kept_by_zone_data(
    maxsize: int,
) -> Callable[[Callable[_Parameters, _Result]], Callable[_Parameters, _Result]]:
    """Decorate a function whose results are kept, as by `lru_cache`, until the zone
    data in use changes.
    """

    def decorated(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
        keeping = lru_cache(maxsize=maxsize)(function)
        _forget_results.append(keeping.cache_clear)
        return keeping  # type: ignore[return-value]  # lru_cache forgets the parameters' types

    return decorated


def _zone_in(key: str, raw: bytes) -> ZoneInfo | None:
    try:
        # The newline is for zoneinfo, which looks for one without end in data that is cut off.
        return ZoneInfo.from_file(io.BytesIO(raw + b"\n"), key=key)
    except (ValueError, IndexError, OverflowError, AssertionError, struct.error):
        return None


@cache
def _zones_by_folded_name() -> dict[str, str]:
    names = sorted(available_timezones() - _NO_ZONES)
    return {name.casefold(): name for name in names}


def _nearest_zones(key: str) -> str:
    match = _BARE_OFFSET.fullmatch(key.strip())
    if match and int(match[2]):
        reversed_sign = "-" if match[1] == "+" else "+"
        return f"write a place, like Europe/Madrid, or Etc/GMT{reversed_sign}{int(match[2])} (its sign is reversed)"
    if re.fullmatch(r"(?:UTC|GMT)?[+-]?0|Z(?:ulu)?", key.strip(), re.ASCII | re.IGNORECASE):
        return "write UTC"
    names = _zones_by_folded_name()
    folded = key[:80].strip().replace(" ", "_").casefold()
    near = [name for low, name in names.items() if folded and low.endswith(f"/{folded}")]
    best = names.get(folded) or (
        " or ".join(near[:3]) if near else nearest_word(folded, names.values())
    )
    if best:
        return f"did you mean {best}?"
    return "write an IANA name such as Europe/Madrid or UTC"


def offset_at(instant: datetime, zone: ZoneInfo) -> timedelta:
    """Return how far the clocks of `zone` are ahead of UTC at an instant."""
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None  # impossible: a ZoneInfo always knows
    return offset


def wall_at(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return the naive wall time that the clocks of `zone` show at an instant."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def to_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the UTC instant of a naive wall time: in a gap the first valid instant
    after it, in an overlap the first.

    "The first valid instant after the gap" is the instant at which the gap ends (02:30
    in a gap from 02:00 to 03:00 is 03:00), and it is the same for every wall time of
    the gap. A later wall time is never an earlier instant.

    >>> to_instant(datetime(2026, 3, 29, 2, 30), ZoneInfo("Europe/Madrid"))
    datetime.datetime(2026, 3, 29, 1, 0, tzinfo=datetime.timezone.utc)
    """
    first, second = zone.utcoffset(wall), zone.utcoffset(wall.replace(fold=1))
    assert first is not None and second is not None  # impossible: a ZoneInfo always knows
    instant = (wall - first).replace(tzinfo=UTC)
    if first >= second:
        return instant
    # PEP 495: only in a gap does fold=1 have the greater offset; the gap lies between
    # the two readings.
    change = next_change((wall - second).replace(tzinfo=UTC), instant, zone)
    assert change is not None
    return change


def next_change(after: datetime, until: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first instant in (after, until] from which the offset is another than
    at `after`, or None.

    Looks once a day: no zone has ever changed its clocks and changed them back within a day.
    """
    offset, calm = offset_at(after, zone), after
    while calm < until:
        probe = min(calm + _DAY, until)
        if offset_at(probe, zone) != offset:
            return _bisected(calm.replace(microsecond=0), probe, offset, zone)
        calm = probe
    return None


def _bisected(before: datetime, after: datetime, offset: timedelta, zone: ZoneInfo) -> datetime:
    low, high = 0, -((before - after) // _SECOND)
    while high - low > 1:  # clocks change at whole seconds
        middle = (low + high) // 2
        if offset_at(before + middle * _SECOND, zone) == offset:
            low = middle
        else:
            high = middle
    return before + high * _SECOND


def instant_on_its_day(wall: datetime, zone: ZoneInfo) -> datetime | None:
    """Return `to_instant(wall)`, or None if the zone skipped the whole day of `wall`
    (Apia had no 30 December 2011).
    """
    instant = to_instant(wall, zone)
    if wall_at(instant, zone).date() == wall.date() or day_exists(wall.date(), zone):
        return instant
    return None


def day_exists(day: date, zone: ZoneInfo) -> bool:
    """Tell whether the clocks of `zone` ever showed this date."""
    return first_instant(day, zone) != first_instant(day + _DAY, zone)


def first_instant(day: date, zone: ZoneInfo) -> datetime:
    """Return the instant at which a date begins in `zone`."""
    return to_instant(datetime.combine(day, time()), zone)


def stretches_of(day: date, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """Yield the half-open stretches of time in which the date is `day`.

    That is one, or none for a skipped date, or two where clocks went back across
    midnight (St John's until 2011).
    """
    begin, midnight = first_instant(day, zone), datetime.combine(day + _DAY, time())
    end = max(
        first_instant(day + _DAY, zone), (midnight.replace(fold=1, tzinfo=zone)).astimezone(UTC)
    )
    while begin < end:
        shown = wall_at(begin, zone)
        until = min(end, begin + (datetime.combine(shown.date() + _DAY, time()) - shown))
        until = next_change(begin, until, zone) or until
        if shown.date() == day:
            yield begin, until
        begin = until


def parse_wall(text: str, zone: ZoneInfo, *, field: tuple[str | int, ...]) -> datetime:
    """Read `2026-12-24 18:00[:30]`, with `T` or a blank, as a UTC instant; an offset or
    `Z` in it wins over `zone`.

    Raises RuleError for what is no such time, a date alone included.
    """
    moment = read_moment(text, field=field)
    if moment.clock is None:
        raise RuleError(
            f"{text} is a date alone; at what time?", field=field, suggestion=f"{text} 18:00"
        )
    return instant_of(moment, zone)


def instant_of(moment: Moment, zone: ZoneInfo) -> datetime:
    """Return the UTC instant that a text means in `zone`; a date alone means its first instant."""
    wall = min(datetime.combine(moment.day, moment.clock or time()), END.replace(tzinfo=None))
    if moment.offset is not None:
        return (wall - moment.offset).replace(tzinfo=UTC)
    return to_instant(wall, zone)
