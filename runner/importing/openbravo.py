"""Import Openbravo's process requests (AD_PROCESS_REQUEST), as its trigger generators
and Quartz read them. Pure.

Openbravo runs a Java class inside its server, which Runner cannot. A request gets the
command that the user's template makes of the process's search key. Without a template,
it gets a command that fails, and it is unscheduled.
"""

from __future__ import annotations

import json
import re
import shlex
from datetime import date, datetime, time, timedelta

from runner.importing.cron_dialects import QUARTZ
from runner.importing.imported import Data, Draft, Import, Remark, Settings, Severity, finished
from runner.importing.openbravo_rows import Row, rows_of
from runner.importing.scheduling import cron_timing, report_daily_changes
from runner.timing.parsing import WEEKDAYS
from runner.timing.zones import wall_at, zone_named

_PLACEHOLDER = ["false"]
_INTERVALS = {"1": "secondly", "2": "minutely", "3": "hourly"}
_DATE = re.compile(r"(?:(\d{4})-(\d\d)-(\d\d)|(\d\d)[-/](\d\d)[-/](\d{4}))")
_CLOCK = re.compile(r"(?:^|[ T])(\d{1,2}):(\d\d)(?::(\d\d))?")
_NTH = {"1": "first", "2": "second", "3": "third", "4": "fourth"}
_IN_FORCE = {"SCH", "MIS", "PRC", ""}  # scheduled, misfired, processing, not exported
_SKIPS = "Quartz skips a time that the clocks skip and runs at the second of two equal times"
_SHIFTS = "Openbravo fires early from the day on which the clocks skip its time"
_HEADLESS = "the user, role and language of its context (OB_CONTEXT) are not carried over"


def from_openbravo(text: str, settings: Settings, *, name: str, command: str | None) -> Import:
    """Read an export. In `command`, a shell-like line, `{process}` stands for the
    process's search key or name.

    Raises RunnerError if the text is not an export.
    """
    template = shlex.split(command) if command else None
    rows = rows_of(text, name)
    drafts = [_Request(row, template, settings).draft for row in rows]
    remarks = [settings.zone_remark("the server")]
    if columns := sorted({column for row in rows for column in row.administrative}):
        message = (
            f"{', '.join(columns)}: not carried over, because these columns decide"
            " neither what runs nor when"
        )
        remarks.append(Remark(line=1, severity=Severity.NOTE, message=message))
    if template:
        remarks.append(Remark(line=1, severity=Severity.DIFFERS, message=_HEADLESS))
    return finished(drafts, remarks, settings)


class _Request:
    """Converts one row to a request."""

    def __init__(self, row: Row, template: list[str] | None, settings: Settings) -> None:
        self._row = row
        self._settings = settings
        process = row["processvalue"] or row["processname"] or row["adprocessid"]
        shown = row["processname"] or process
        identity = row["adprocessrequestid"]
        self.draft = Draft(
            line=row.line,
            excerpt=f"{shown or 'no process'}, request {identity}" if identity else shown,
            wanted_name=row["processname"] or row["description"] or process or "request",
        )
        self._say_what_runs(process, template)
        self._say_who()
        if timing := self._timing():
            self.draft.data["timing"] = timing
        self._say_status()
        for column in row.unused:
            self.draft.changed(f"the column {column} is unknown and is not carried over")

    def _say_what_runs(self, process: str, template: list[str] | None) -> None:
        row = self._row
        if row.is_yes("isgroup") or row["adprocessgroupid"]:
            self.draft.changed(
                "it runs a process group, whose members the export does not contain",
                "write a `group`",
            )
            self.draft.process["command"] = _PLACEHOLDER
        elif template and process:
            self.draft.process["command"] = [
                word.replace("{process}", process) for word in template
            ]
        else:
            message = (
                f"it runs the process {process or '?'} inside of Openbravo, which Runner cannot do"
            )
            self.draft.changed(
                message, "import it with --command 'PROGRAM {process}', or write its `command`"
            )
            self.draft.process["command"] = _PLACEHOLDER
        if row.is_yes("preventconcurrent"):
            self.draft.process["prevent_concurrent"] = True
        if params := _parameters(row["params"]):
            self.draft.process["params"] = params
        elif row["params"] not in {"", "{}"}:
            self.draft.changed(
                "its parameters are not a JSON object and are not carried over",
                "write its `params`",
            )

    def _say_who(self) -> None:
        row = self._row
        if row["description"]:
            self.draft.data["description"] = row["description"]
        client = row["clientname"] or row["adclientid"]
        organization = row["organizationname"] or row["adorgid"]
        context = {"client": client, "organization": organization}
        if any(context.values()):
            self.draft.data["context"] = {key: value for key, value in context.items() if value}

    def _say_status(self) -> None:
        status = self._row["status"].upper()
        if status not in _IN_FORCE or (self._row["isactive"] and not self._row.is_yes("isactive")):
            self.draft.data["scheduled"] = False
            reason = f"its status is {status}" if status not in _IN_FORCE else "it is not active"
            self.draft.note(f"{reason}: it is written unscheduled")

    def _timing(self) -> Data | str | None:
        match self._row["timingoption"].upper():
            case "" | "I":
                message = (
                    "Openbravo has already run this `run immediately` request or was about to;"
                    " here it would run once more"
                )
                self.draft.changed(message, "remove `scheduled` to run it")
                return "run_immediately"
            case "L":
                return self._later()
            case "S":
                return self._schedule()
            case other:
                self.draft.changed(f"there is no timing option {other}", "write a `timing`")
                return None

    def _later(self) -> Data | None:
        day, clock = _date(self._row["startdate"]), _time(self._row["starttime"])
        if day is None or clock is None:
            self.draft.changed(
                "it runs later, but the export does not say when (no start date and time)"
            )
            return None
        zone = zone_named(self._settings.zone or self._settings.default_zone)
        if datetime.fromisoformat(f"{day} {clock}") < wall_at(self._settings.now, zone):
            self.draft.differs(
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
                self.draft.changed(f"there is no frequency {other}", "write a `timing`")
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
            self.draft.differs(message, "set `start` if it matters")
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
            self.draft.changed(f"it runs {text} times, counted from a start that is not known")
            return {}
        message = (
            f"with {text} repetitions it runs {text} times, as in Openbravo's code;"
            f" its manual says {count + 1}. Runner leaves out missed runs; Openbravo catches up"
        )
        self.draft.differs(message)
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
                    self.draft.changed(
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
            self.draft.changed("it is weekly and has no day of the week", "write a `timing`")
            return None
        return {"schedule": {"frequency": "weekly", "days": days, **at}} if at else None

    def _monthly(self) -> Data | None:
        at, day = self._at(_SKIPS), self._month_day()
        if day is None:
            self.draft.changed(
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
        timing = cron_timing(self.draft, self._row["cron"], QUARTZ, self._settings, zone=None)
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
            self.draft.changed(
                "it has no start time, which gives its time of day", "write a `timing`"
            )
            return None
        zone = self._settings.zone or self._settings.default_zone
        report_daily_changes(self.draft, clock, zone, self._settings, at_clock_changes)
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
            self.draft.changed("it finishes, but the export does not say when", "set `finish`")
            return {}
        if is_inclusive:
            return {"finish": f"{day} {clock}"}
        last = datetime.fromisoformat(f"{day} {clock}") - timedelta(seconds=1)
        self.draft.note(
            f"it ends before {day} {clock}; `finish` is inclusive, so it is one second earlier"
        )
        return {"finish": str(last)}

    def _number(self, column: str) -> int | None:
        text = self._row[column]
        if re.fullmatch(r"0*[1-9]\d{0,8}(\.0+)?", text, re.ASCII):
            return int(float(text))
        self.draft.changed(
            f"{column} should be a number of 1 or more, not {text or 'nothing'}", "write a `timing`"
        )
        return None


def _parameters(text: str) -> Data:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


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
