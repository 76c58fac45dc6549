"""A rule in plain English, for people to check what they wrote. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from runner.timing.rules import Cron, Daily, DayNumber, Interval, LastDay, MonthDay, Monthly, NthWeekday, Pattern, Rule
from runner.timing.rules import Weekly as Weekly
from runner.timing.zones import TICK, wall_at, zone_named

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NTH = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last"}
_UNITS = (("hour", 3600), ("minute", 60), ("second", 1))


def describe(rule: Rule) -> str:
    """Describe a rule in one line; its times are those of its zone, which is named.

    >>> from datetime import time
    >>> describe(Rule(pattern=Daily(weekdays=frozenset(range(5))), at=(time(2),), zone="Europe/Madrid"))
    'Monday to Friday at 02:00 (Europe/Madrid)'
    """
    text = _pattern_text(rule.pattern)
    if rule.at:
        text += " at " + _listed([at.isoformat("seconds").removesuffix(":00") for at in rule.at])
    if rule.start:
        text += f", from {_local(rule.start, rule)}"
    if rule.repetitions is not None:
        text += f", {rule.repetitions + 1} times" if rule.repetitions else ", once"
    if rule.finish:
        text += f", until {_local(rule.finish + TICK, rule, bound=True)}"
    if rule.excepted:
        text += f", except on {len(rule.excepted)} date{'s' * (len(rule.excepted) > 1)}"
    return f"{text} ({rule.zone})"
