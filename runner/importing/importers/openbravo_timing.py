"""The timing of a process request of Openbravo, as its trigger generators and Quartz read
it. Pure.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

from runner.importing.cron_dialects import QUARTZ
from runner.importing.imported import Data, Draft, ImportSettings
from runner.importing.importers.openbravo_rows import Row
from runner.importing.scheduling import cron_timing, report_daily_changes
from runner.timing.parsing import WEEKDAYS
from runner.timing.zones import wall_at, zone_named

_INTERVALS = {"1": "secondly", "2": "minutely", "3": "hourly"}
_DATE = re.compile(r"(?:(\d{4})-(\d\d)-(\d\d)|(\d\d)[-/](\d\d)[-/](\d{4}))")
_CLOCK = re.compile(r"(?:^|[ T])(\d{1,2}):(\d\d)(?::(\d\d))?")
_NTH = {"1": "first", "2": "second", "3": "third", "4": "fourth"}
_SKIPS = "Quartz skips a time that the clocks skip and runs at the second of two equal times"
_SHIFTS = "Openbravo fires early from the day on which the clocks skip its time"


class OpenbravoTiming:
    """Converts the timing of one row. What differs becomes a remark on the draft."""

    def __init__(self, row: Row, draft: Draft, settings: ImportSettings) -> None:
        self._row = row
        self._draft = draft
        self._settings = settings

    def timing(self) -> Data | str | None:
        """Return the request's `timing`; None, with a remark, if there is none."""
        match self._row["timingoption"].upper():
            case "" | "I":
                message = (
                    "Openbravo has already run this `run immediately` request or was about to;"
                    " here it would run once more"
                )
                self._draft.changed(message, "remove `scheduled` to run it")
                return "run_immediately"
            case "L":
                return self._later()
            case "S":
                return self._schedule()
            case other:
                self._draft.changed(f"there is no timing option {other}", "write a `timing`")
                return None

    def _later(self) -> Data | None:
        day, clock = _date(self._row["startdate"]), _time(self._row["starttime"])
        if day is None or clock is None:
            self._draft.changed(
                "it runs later, but the export does not say when (no start date and time)"
            )
            return None
        zone = zone_named(self._settings.zone or self._settings.default_zone)
        if datetime.fromisoformat(f"{day} {clock}") < wall_at(self._settings.now, zone):
            self._draft.differs(
                "its time has passed: Runner records it as missed;"
                " Openbravo would run it at a restart"
            )
        return {"run_later": {"start": f"{day} {clock}", **self._settings.timezone}}

    def _schedule(self) -> Data | None:
        match self._row["frequency"] or "4":
            case "1" | "2" | "3" as frequency:
                return self._interval(_INTERVALS[frequency])
            case "4":
                return self._daily()
            case "5":
                return self._weekly()
            case "6":
                return self._monthly()
            case "7":
                return self._cron()
            case other:
                self._draft.changed(f"there is no frequency {other}", "write a `timing`")
                return None

    def _interval(self, frequency: str) -> Data | None:
        interval = self._number(f"{frequency}interval")
        start = self._start()
        if interval is None:
            return None
        if not start:
            message = (
                "without a start it counts from when it was scheduled;"
                " here from 1970-01-01 00:00 UTC"
            )
            self._draft.differs(message, "set `start` if it matters")
        finish = self._finish(is_inclusive=False)
        schedule = {"frequency": frequency, "interval": interval, **start, **finish}
        return {
            "schedule": {
                **schedule,
                **self._repetitions(frequency, start),
                **self._settings.timezone,
            }
        }

    def _repetitions(self, frequency: str, start: Data) -> Data:
        """Return the repetitions as Openbravo's code counts them.

        Its code runs N times since 2019, although its manual says N + 1. Ours are the
        runs after the first.
        """
        text = self._row[f"{frequency}repetitions"]
        if not text:
            return {}
        count = self._number(f"{frequency}repetitions")
        if count is None or not start:
            self._draft.changed(f"it runs {text} times, counted from a start that is not known")
            return {}
        message = (
            f"with {text} repetitions it runs {text} times, as in Openbravo's code;"
            f" its manual says {count + 1}. Runner leaves out missed runs; Openbravo catches up"
        )
        self._draft.differs(message)
        return {"repetitions": count - 1}

    def _daily(self) -> Data | None:
        at = self._at(_SHIFTS if self._row["dailyoption"] == "N" else _SKIPS)
        if at is None:
            return None
        match self._row["dailyoption"]:
            case "N":
                interval = self._number("dailyinterval")
                if interval is None:
                    return None
                if interval > 1 and "start" not in at:
                    self._draft.changed(
                        "every n days counts from a start that is not known", "set `start`"
                    )
                rule: Data = {"interval": interval} if interval > 1 else {}
            case "D":
                rule = {"days": "weekdays"}
            case "E":
                rule = {"days": "weekends"}
            case _:
                rule = {}
        return {"schedule": {"frequency": "daily", **rule, **at}}

    def _weekly(self) -> Data | None:
        at = self._at(_SKIPS)
        days = [day for day in WEEKDAYS if self._row.is_yes(f"day{day[:3]}")]
        if not days:
            self._draft.changed("it is weekly and has no day of the week", "write a `timing`")
            return None
        return {"schedule": {"frequency": "weekly", "days": days, **at}} if at else None

    def _monthly(self) -> Data | None:
        at, day = self._at(_SKIPS), self._month_day()
        if day is None:
            self._draft.changed(
                "it is monthly and has no day of the month that Runner knows", "write a `timing`"
            )
        return {"schedule": {"frequency": "monthly", "day": day, **at}} if at and day else None

    def _month_day(self) -> int | str | None:
        option, weekday = self._row["monthlyoption"] or "S", self._row["monthlydayofweek"]
        if option == "L":
            return "last"
        if option == "S":
            return self._number("monthlyspecificday")
        if option in _NTH and re.fullmatch("[1-7]", weekday):
            return f"{_NTH[option]} {WEEKDAYS[int(weekday) - 1]}"
        return None

    def _cron(self) -> Data | None:
        timing = cron_timing(self._draft, self._row["cron"], QUARTZ, self._settings, zone=None)
        if timing:
            schedule, start, finish = (
                timing["schedule"],
                self._start(),
                self._finish(is_inclusive=True),
            )
            for key, bound, nearest in (("start", start, max), ("finish", finish, min)):
                if key in bound:
                    schedule[key] = nearest(bound[key], schedule.get(key, bound[key]))
        return timing

    def _at(self, at_clock_changes: str) -> Data | None:
        """Return the keys of all calendar frequencies: `at`, `start`, `finish` and zone."""
        clock = _time(self._row["starttime"])
        if clock is None:
            self._draft.changed(
                "it has no start time, which gives its time of day", "write a `timing`"
            )
            return None
        zone = self._settings.zone or self._settings.default_zone
        report_daily_changes(self._draft, clock, zone, self._settings, at_clock_changes)
        finish = self._finish(is_inclusive=True)
        return {"at": clock, **self._start(), **finish, **self._settings.timezone}

    def _start(self) -> Data:
        day, clock = _date(self._row["startdate"]), _time(self._row["starttime"])
        return {"start": f"{day} {clock}"} if day and clock else {}

    def _finish(self, *, is_inclusive: bool) -> Data:
        """Return the finish.

        In Openbravo the finish of an interval is exclusive; ours is always inclusive.
        """
        if not self._row.is_yes("finishes"):
            return {}
        day, clock = _date(self._row["finishesdate"]), _time(self._row["finishestime"])
        if day is None or clock is None:
            self._draft.changed("it finishes, but the export does not say when", "set `finish`")
            return {}
        if is_inclusive:
            return {"finish": f"{day} {clock}"}
        last = datetime.fromisoformat(f"{day} {clock}") - timedelta(seconds=1)
        self._draft.note(
            f"it ends before {day} {clock}; `finish` is inclusive, so it is one second earlier"
        )
        return {"finish": str(last)}

    def _number(self, column: str) -> int | None:
        text = self._row[column]
        if re.fullmatch(r"0*[1-9]\d{0,8}(\.0+)?", text, re.ASCII):
            return int(float(text))
        self._draft.changed(
            f"{column} should be a number of 1 or more, not {text or 'nothing'}", "write a `timing`"
        )
        return None


def _date(text: str) -> str | None:
    """Read the date of a timestamp.

    PostgreSQL, Oracle (DD-MM-YYYY) and Openbravo's data access layer write it differently.
    The last one appends a `Z` that does not mean UTC: its time is local.

    >>> _date("2019-09-27 00:00:00"), _date("27-09-2019"), _date("2019-09-27T00:00:00.0Z")
    ('2019-09-27', '2019-09-27', '2019-09-27')
    """
    match = _DATE.match(text)
    if not match:
        return None
    year, month, day = match.group(1, 2, 3) if match[1] else match.group(6, 5, 4)
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None


def _time(text: str) -> str | None:
    """Read the time of day of a timestamp; its date does not matter.

    >>> _time("1970-01-01 13:10:00"), _time("9:05:30")
    ('13:10', '09:05:30')
    """
    match = _CLOCK.search(text)
    if not match:
        return None
    try:
        clock = time(int(match[1]), int(match[2]), int(match[3] or 0))
    except ValueError:
        return None
    return clock.isoformat("seconds" if clock.second else "minutes")
