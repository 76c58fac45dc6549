"""The dates on which a rule that names times of day fires. Pure.

A rule names times of day if it is daily, weekly, monthly, or a cron expression in which no
second, minute or hour begins with `*`. All of its dates have the same times of day, so its
calendar maps dates to dates: `only` drops some, and `except` drops or moves others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, time, timedelta
from itertools import groupby

from runner.timing.calendars import FARTHEST_MOVE, LAST, is_blocked
from runner.timing.cron.cron_expression import parsed
from runner.timing.cron.cron_fires import matching_days
from runner.timing.days import days
from runner.timing.rules import Cron, Interval, Rule
from runner.timing.zones import day_exists, wall_at, zone_named
from runner.values import EPOCH

_DAY = timedelta(days=1)
_FIRST_DAY = EPOCH.date()
GREGORIAN_CYCLE = timedelta(days=146_097)
"""400 years, after which the calendar repeats itself, weekdays included."""


def pattern_days(rule: Rule, since: date) -> Iterator[date]:
    """Yield the dates that the pattern alone names, from `since` on, ascending."""
    match rule.pattern:
        case Cron(expression=expression):
            return matching_days(parsed(expression), since)
        case Interval():
            raise AssertionError("an interval names no times of day")
        case pattern:
            start = rule.start
            anchor = wall_at(start, zone_named(rule.zone)).date() if start else _FIRST_DAY
            return days(pattern, anchor, since, rule.excepted)


def clocks(rule: Rule, after: time | None) -> Iterable[time]:
    """Return the times of day of the rule, ascending; only those later than `after`."""
    if not isinstance(rule.pattern, Cron):
        return rule.at
    found = parsed(rule.pattern.expression)
    begin = 0 if after is None else found.clocks_through(after)
    return (found.clock(number) for number in range(begin, found.clocks))


def fire_days(rule: Rule, since: date) -> Iterator[tuple[date, int]]:
    """Yield the dates of fires from `since` on, ascending, and how many meet on each.

    Ends when the pattern names no further date that may fire.
    """
    if not rule.has_calendar:
        return ((day, 1) for day in pattern_days(rule, since))
    return ((day, sum(1 for _ in met)) for day, met in groupby(_moved_days(rule, since)))


def _moved_days(rule: Rule, since: date) -> Iterator[date]:
    """Yield where each date of the pattern moves to, from `since` on, ascending."""
    mover = DateMover(rule)
    dropped, enough = 0, GREGORIAN_CYCLE.days + len(rule.excepted.days)
    for day in chosen_days(rule, earliest_source(rule, since)):
        target = mover.target(day)
        if target is not None and target >= since:
            dropped = 0
            yield target
        elif (dropped := dropped + 1) > enough:
            return


def chosen_days(rule: Rule, since: date) -> Iterator[date]:
    """Yield the dates of the pattern that `only` admits, before any moves."""
    if rule.only is None:
        yield from pattern_days(rule, since)
        return
    # From the last single date on, everything repeats itself after this many days.
    enough = GREGORIAN_CYCLE.days * getattr(rule.pattern, "interval", 1)
    last = max(since, rule.only.last_day, rule.excepted.last_day).toordinal()
    candidate = rule.only.next_from(since)
    while candidate is not None and candidate.toordinal() <= last + enough:
        day = next(pattern_days(rule, candidate), None)
        if day is None:
            return
        if day == candidate:
            yield day
            last = max(last, day.toordinal())
            day += _DAY
        candidate = rule.only.next_from(day)


def earliest_source(rule: Rule, since: date) -> date:
    """Return the earliest date whose fire may move to `since` or later."""
    if not rule.moves or rule.shift.step < 0:
        return since
    zone, earliest = zone_named(rule.zone), since
    for _ in range(FARTHEST_MOVE):
        before = earliest - _DAY
        if not is_blocked(before, rule.excepted, rule.shift) and day_exists(before, zone):
            break
        earliest = before
    return earliest


class DateMover:
    """Maps the dates of a rule to those of its fires.

    It remembers the last run of blocked dates that it passed, so that a walk through a run
    of many years looks at each of its dates once.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._zone = zone_named(rule.zone)
        self._blocked = range(0)  # ordinals

    def target(self, day: date) -> date | None:
        """Return the date of the fire that the pattern names on `day`; None if it is dropped."""
        rule = self._rule
        if not rule.moves:
            return None if day in rule.excepted else day
        # A date that the zone skipped has no fires to move. Returned as it is, it would stand
        # between the fires that move to the date before it.
        if not day_exists(day, self._zone):
            return None
        if not is_blocked(day, rule.excepted, rule.shift):
            return day
        first, step = day.toordinal(), rule.shift.step
        probe, farthest = first + step, first + step * FARTHEST_MOVE
        while (is_near := (farthest - probe) * step >= 0) and not self._is_free(probe):
            known = self._blocked
            probe = (
                (known.stop if step > 0 else known.start - 1) if probe in known else probe + step
            )
        self._blocked = range(first, probe) if step > 0 else range(probe + 1, first + 1)
        return date.fromordinal(probe) if is_near else None

    def _is_free(self, ordinal: int) -> bool:
        if ordinal in self._blocked or not 1 <= ordinal <= LAST.toordinal():
            return False
        day = date.fromordinal(ordinal)
        return not is_blocked(day, self._rule.excepted, self._rule.shift) and day_exists(
            day, self._zone
        )


def next_allowed(rule: Rule, day: date) -> date | None:
    """Return the first date later than `day` that `only` admits and nothing blocks."""
    for _ in range(GREGORIAN_CYCLE.days + len(rule.excepted.days)):
        if day >= LAST:
            return None
        following: date | None = day + _DAY
        if rule.only is not None:
            following = rule.only.next_from(day + _DAY)
        if following is None or not is_blocked(following, rule.excepted, rule.shift):
            return following
        day = following
    return None
