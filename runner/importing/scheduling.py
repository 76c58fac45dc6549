"""Build the timing of an imported request from a cron expression. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta

from runner.errors import RuleError
from runner.importing.cron_dialects import VIXIE, Dialect, DialectError, meaning_of
from runner.importing.cron_writing import expression_for, first_and_last
from runner.importing.imported import Data, Draft, ImportSettings
from runner.timing.cron.cron_expression import follows_the_wall_clock, read_expression
from runner.timing.cron.translation import NICKNAMES
from runner.timing.zones import kept_by_zone_data, next_change, offset_at, zone_named
from runner.values import duration_text

NO_REBOOT = (
    "@reboot runs at each start of the scheduler; `run_immediately` runs only once",
    "run `runner exec NAME` when the machine starts, for example from a systemd unit",
)
_TWO_YEARS = timedelta(days=731)  # contains every change of a zone with yearly changes
_MINUTE = timedelta(minutes=1)
_LONGEST_CHANGE = 24 * 60  # minutes: Samoa skipped a day


def cron_timing(
    draft: Draft, text: str, dialect: Dialect, settings: ImportSettings, *, zone: str | None
) -> Data | None:
    """Return the timing of a cron expression, and remark on differences.

    `zone` is the zone that the source names. Return None, with a remark, if no expression
    of ours has the same meaning.
    """
    written = NICKNAMES.get(text.strip().lower(), text)
    try:
        expression = read_expression(expression_for(written, dialect), field=())
        bounds = _years(written, dialect)
    except (DialectError, RuleError) as error:
        draft.changed(f"its schedule {text!r} has no counterpart: {error}", "write a `timing`")
        return None
    if expression != text.strip():
        draft.note(f"its schedule {text!r} is written as {expression!r}")
    schedule = {
        "frequency": "cron",
        "expression": expression,
        **bounds,
        **_zone(draft, zone, settings),
    }
    report_clock_changes(
        draft,
        written,
        expression,
        dialect,
        schedule.get("timezone", settings.default_zone),
        settings,
    )
    return {"schedule": schedule}


def _zone(draft: Draft, zone: str | None, settings: ImportSettings) -> Data:
    """Return the zone's key; an unknown zone is left out, with a remark."""
    if zone is None:
        return settings.timezone
    try:
        zone_named(zone)
    except RuleError as error:
        draft.changed(f"{error}, so its fire times would change", error.suggestion)
        return settings.timezone
    return {"timezone": zone}


def _years(text: str, dialect: Dialect) -> Data:
    """Return `start` and `finish` for the years of an expression.

    Raises DialectError if the years have gaps.
    """
    years = meaning_of(text, dialect).years
    if years is None:
        return {}
    bounds = first_and_last(years)
    if bounds is None:
        raise DialectError("`start` and `finish` can only express consecutive years")
    return {"start": f"{bounds[0]}-01-01", "finish": f"{bounds[1]}-12-31"}


def report_clock_changes(
    draft: Draft,
    text: str,
    expression: str,
    dialect: Dialect,
    zone: str,
    settings: ImportSettings,
) -> None:
    """Remark on fire times that the clocks skip or repeat, if the source treats them
    differently.
    """
    meaning = meaning_of(text, dialect)
    skipped, doubled = _touched(meaning.hours, meaning.minutes, zone, settings.now)
    follows = follows_the_wall_clock(expression)
    if dialect is VIXIE:
        # Both run once after a gap with one fire time in it. With several, cron runs each.
        is_other = skipped > 1 and not follows
    elif dialect.name == "Quartz":
        # Quartz leaves out the first of two equal hours even for a rule such as `*/5`.
        is_other = bool(doubled) or (bool(skipped) and not follows)
    else:
        is_other = bool(skipped or doubled) and not follows
    if is_other:
        here = (
            "it follows the wall clock"
            if follows
            else "it runs once on each of its days, after the gap if the time is skipped"
        )
        draft.differs(f"when the clocks of {zone} change, {dialect.at_clock_changes}; here {here}")


def report_daily_changes(
    draft: Draft, clock: str, zone: str, settings: ImportSettings, what: str
) -> None:
    """Remark on a time of day that the clocks skip or repeat.

    `what` says what the source does then.
    """
    hour, minute = (int(part) for part in clock.split(":")[:2])
    if any(_touched({hour}, {minute}, zone, settings.now)):
        draft.differs(
            f"when the clocks of {zone} change, {what}; here it runs once on each of its days,"
            " after the gap if the time is skipped"
        )


def _touched(
    hours: Collection[object], minutes: Collection[object], zone: str, now: datetime
) -> tuple[int, int]:
    """Count the given times of day that one coming clock change skips, and repeats.

    Return the largest count of each over two years.
    """
    most = {True: 0, False: 0}
    for begin, length, is_gap in _changes(zone, now.year):
        walls = (
            begin + number * _MINUTE for number in range(min(length // _MINUTE, _LONGEST_CHANGE))
        )
        most[is_gap] = max(
            most[is_gap], sum(wall.hour in hours and wall.minute in minutes for wall in walls)
        )
    return most[True], most[False]


@kept_by_zone_data(maxsize=64)
def _changes(zone: str, year: int) -> tuple[tuple[datetime, timedelta, bool], ...]:
    return tuple(_walk_changes(zone, datetime(year, 1, 1, tzinfo=UTC)))


def _walk_changes(zone: str, begin: datetime) -> Iterator[tuple[datetime, timedelta, bool]]:
    """Yield each clock change in two years from `begin`.

    A change is the wall time at which the gap or the repetition begins, its length, and
    whether it is a gap.
    """
    info, until, at = zone_named(zone), begin + _TWO_YEARS, begin
    while change := next_change(at, until, info):
        before, after = offset_at(at, info), offset_at(change, info)
        yield (
            (change + min(before, after)).replace(tzinfo=None),
            abs(after - before),
            after > before,
        )
        at = change


def seconds_text(seconds: float) -> str:
    """Write seconds as a duration.

    >>> seconds_text(90), seconds_text(0.5)
    ('1m30s', '500ms')
    """
    return duration_text(timedelta(seconds=seconds))
