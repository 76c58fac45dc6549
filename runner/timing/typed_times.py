"""Times as people type them. Pure, except for the zone data."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from enum import Enum, auto

from runner.errors import RuleError, UsageError
from runner.timing.texts import read_clock, read_moment
from runner.timing.zones import END, first_instant, instant_of, to_instant, zone_named
from runner.values import parse_duration

_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)


class Toward(Enum):
    """The direction in which a duration or a time of day counts from now."""

    PAST = auto()
    FUTURE = auto()
    NEITHER = auto()  # durations are refused; a time of day means today's


class OfDay(Enum):
    """What a date alone means."""

    FIRST = auto()  # its first instant
    LAST = auto()  # its last instant: an end includes its whole day, as `finish` does
    AFTER = auto()  # the first instant after it
    REFUSED = auto()


def read_time(
    option: str, text: str, zone: str, now: datetime, *, toward: Toward, of_day: OfDay = OfDay.FIRST
) -> datetime:
    """Return the UTC instant that an option's value means: END at the latest.

    Raises UsageError. Accepted are instants as in the monitor log, times as in the files,
    dates, times of day, `now`, `today`, `yesterday`, and durations. A duration counts
    `toward` the past or the future; a time of day means the last or the next such time.

    >>> noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> str(read_time("--since", "2h", "UTC", noon, toward=Toward.PAST))
    '2026-03-01 10:00:00+00:00'
    >>> str(read_time("--since", "19:57", "UTC", noon, toward=Toward.PAST))
    '2026-02-28 19:57:00+00:00'
    """
    return min(_meant(option, text, zone, now, toward, of_day), END)


def read_begin(text: str | None, zone: str, now: datetime) -> datetime:
    """Read the value of `--from`, which may be missing: then it is now. Raises UsageError."""
    return now if text is None else read_time("--from", text, zone, now, toward=Toward.FUTURE)


def read_end(text: str, zone: str, now: datetime) -> datetime:
    """Read the value of an `--until` that ends what begins now. Raises UsageError.

    A date includes its whole day.
    """
    end = read_time("--until", text, zone, now, toward=Toward.FUTURE, of_day=OfDay.AFTER)
    if not now < end < END:
        what = "not in the future" if end <= now else f"not before {END:%Y-%m-%d}"
        raise UsageError(f"--until: {text} is {what}")
    return end


def _meant(
    option: str, text: str, zone: str, now: datetime, toward: Toward, of_day: OfDay
) -> datetime:
    today = now.astimezone(zone_named(zone)).date()
    days = {"today": today, "yesterday": today - _DAY}
    if text == "now":
        return now
    if text in days:
        return _in_day(option, text, days[text], zone, of_day)
    # Each of these returns None for a text of another form; the forms do not overlap.
    for read in (_instant, _after_duration, _time_of_day):
        if (instant := read(text, zone, now, toward)) is not None:
            return instant
    try:
        moment = read_moment(text, field=())
    except RuleError as error:
        hint = (
            error.suggestion
            if error.suggestion and "write it like" not in error.suggestion
            else None
        )
        raise UsageError(f"{option}: {error}; {hint or _forms(toward, of_day)}") from None
    if moment.clock is None:
        return _in_day(option, text, moment.day, zone, of_day)
    return instant_of(moment, zone_named(zone))


def _forms(toward: Toward, of_day: OfDay) -> str:
    """Return a sentence that names every form which an option accepts."""
    forms = ["a time like 2026-12-24 18:00", "a time of day like 19:57", "now"]
    if of_day is not OfDay.REFUSED:
        forms += ["a date", "today", "yesterday"]
    if toward is not Toward.NEITHER:
        forms.append("a duration like 2h")
    return f"write {', '.join(forms[:-1])} or {forms[-1]}"


def _in_day(option: str, text: str, day: date, zone: str, of_day: OfDay) -> datetime:
    match of_day:
        case OfDay.FIRST:
            return first_instant(day, zone_named(zone))
        case OfDay.LAST | OfDay.AFTER:
            after = first_instant(min(day, END.date()) + _DAY, zone_named(zone))
            return after if of_day is OfDay.AFTER else after - _TICK
        case OfDay.REFUSED:
            raise UsageError(
                f"{option}: {text} is a date alone; at what time? Write it like {day} 18:00"
            )


def _instant(text: str, _zone: str, _now: datetime, _toward: Toward) -> datetime | None:
    """Read an instant with an offset, as the monitor log writes it; None for anything else."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant.astimezone(UTC) if instant.tzinfo is not None and instant.year >= 1970 else None


def _after_duration(text: str, _zone: str, now: datetime, toward: Toward) -> datetime | None:
    if toward is Toward.NEITHER:
        return None
    try:
        duration = parse_duration(text)
    except ValueError:
        return None
    return now - duration if toward is Toward.PAST else now + duration


def _time_of_day(text: str, zone: str, now: datetime, toward: Toward) -> datetime | None:
    try:
        clock = read_clock(text, field=())
    except RuleError:
        return None
    today = now.astimezone(zone_named(zone)).date()
    instant = _at(today, clock, zone)
    if toward is Toward.PAST and instant > now:
        return _at(today - _DAY, clock, zone)
    return _at(today + _DAY, clock, zone) if toward is Toward.FUTURE and instant < now else instant


def _at(day: date, clock: time, zone: str) -> datetime:
    return to_instant(datetime.combine(day, clock), zone_named(zone))
