"""The keys of other programs, as a table. Pure.

Each row gives the place of our key and the conversion of its value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner.requests.findings import DataPath
from runner.requests.schema.hints import conversions as to
from runner.requests.schema.hints import timing_conversions as times
from runner.requests.schema.hints.conversions import Around, Convert, Entries

_TOP: DataPath = ()
_PROCESS: DataPath = ("process",)
_TIMING: DataPath = ("timing",)
_SCHEDULE: DataPath = ("timing", "schedule")
_ONCE: Entries = {"misfire": "fire_once"}
_GUARDED: Entries = {"prevent_concurrent": True}
_REPLACING: Entries = {"prevent_concurrent": True, "on_overlap": "replace"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """Foreign keys (lower case, without `_`, `-` and blanks), our key and the
    conversion of its value.

    `home` is the path of the mapping that holds our key. With an empty `key` there is
    nothing to name unless the value converts.
    """

    names: tuple[str, ...]
    home: DataPath
    key: str
    convert: Convert


def _row(names: str, home: DataPath, key: str, convert: Convert) -> Alias:
    return Alias(names=tuple(names.split()), home=home, key=key, convert=convert)


def _nothing(_: Any, __: Around) -> None:
    return None


ALIASES: tuple[Alias, ...] = (
    _row("id title jobname taskname", _TOP, "name", _nothing),
    _row("desc summary comment notes help", _TOP, "description", to.kept("description")),
    _row("maintainer contact author team", _TOP, "owner", to.kept("owner")),
    _row("tags annotations", _TOP, "labels", to.kept("labels", dict)),
    _row("enabled active", _TOP, "scheduled", to.kept("scheduled", bool)),
    _row(
        "disabled suspend suspended paused inactive",
        _TOP,
        "scheduled",
        to.constant({"true": {"scheduled": False}, "false": {"scheduled": True}}),
    ),
    _row("onerror onfail", _TOP, "on_failure", _nothing),
    _row(
        "histretentiondays historyretentiondays retentiondays keepdays",
        _TOP,
        "retention",
        to.days_kept,
    ),
    _row(
        "histretentionruns successfuljobshistorylimit maxhistory keepruns",
        _TOP,
        "retention",
        to.runs_kept,
    ),
    _row("onsuccess onsucceed oncomplete", _TOP, "on_success", _nothing),
    _row(
        "maxfailures maxconsecutivefailures failurelimit unscheduleafter suspendafter",
        _TOP,
        "on_failure",
        to.unschedule_after,
    ),
    _row("cmd exec program entrypoint executable", _PROCESS, "command", to.command),
    _row("args argv arguments", _PROCESS, "", to.arguments),
    _row("run script bash sh commandline", _PROCESS, "shell", to.shell),
    _row("function func callable", _PROCESS, "python", _nothing),
    _row("steps stages members tasks", _PROCESS, "group", to.members),
    _row("condition precondition preconditions onlyif runif", _PROCESS, "if", to.condition),
    _row(
        "cwd workdir workingdir workingdirectory dir chdir folder path",
        _PROCESS,
        "directory",
        to.kept("directory"),
    ),
    _row("env envs environ vars variables envvars", _PROCESS, "environment", to.environment),
    _row("envfile dotenv", _PROCESS, "environment_file", to.kept("environment_file")),
    _row("user username uid runasuser becomeuser", _PROCESS, "run_as", to.run_as),
    _row("maxruntime maxduration timelimit", _PROCESS, "timeout", to.duration("timeout")),
    _row(
        "activedeadlineseconds timeoutsec timeoutseconds executiontimeout",
        _PROCESS,
        "timeout",
        to.duration("timeout", 1),
    ),
    _row("timeoutminutes", _PROCESS, "timeout", to.duration("timeout", 60)),
    _row(
        "concurrency concurrencypolicy overlappolicy singleton lock maxinstances maxactiveruns",
        _PROCESS,
        "prevent_concurrent",
        to.constant(
            {
                "forbid": _GUARDED,
                "skip": _GUARDED,
                "true": _GUARDED,
                "1": _GUARDED,
                "replace": _REPLACING,
            },
        ),
    ),
    _row("nooverlap", _PROCESS, "prevent_concurrent", to.kept("prevent_concurrent", bool)),
    _row(
        "retries maxretries maximumretries backofflimit numberofretries",
        _PROCESS,
        "retry",
        to.retry(1),
    ),
    _row("attempts maxattempts tries", _PROCESS, "retry", to.retry(0)),
    _row("memory memorylimit memlimit", _PROCESS, "limits", to.memory),
    _row("when trigger triggers on timer", _SCHEDULE, "", times.schedule),
    _row("now immediately immediate", _TIMING, "run_immediately", _nothing),
    _row("once runat rundate date datetime", _TIMING, "run_later", times.run_later),
    _row("cron crontab cronexpression cronspec", _SCHEDULE, "expression", times.schedule),
    _row("schedule", _SCHEDULE, "", to.one_of(times.schedule, times.interval)),
    _row("oncalendar specialtime", _SCHEDULE, "", times.schedule),
    _row("every period repeat", _SCHEDULE, "", times.interval),
    _row("seconds", _SCHEDULE, "", times.every_unit("seconds")),
    _row("minutes", _SCHEDULE, "", times.every_unit("minutes")),
    _row("hours", _SCHEDULE, "", times.every_unit("hours")),
    _row("minute hour dayofmonth month dayofweek weekday dow", _SCHEDULE, "", times.cron_fields),
    _row("time times timeofday", _SCHEDULE, "at", times.at),
    _row("tz zone timezonename crontz", _SCHEDULE, "timezone", times.timezone),
    _row("weekdays daysofweek", _SCHEDULE, "days", times.days),
    _row("dom monthday", _SCHEDULE, "day", to.kept("day", int)),
    _row(
        "since from begin startdate starttime startat",
        _SCHEDULE,
        "start",
        times.moment("start", needs_clock=False),
    ),
    _row(
        "until end enddate endtime endat",
        _SCHEDULE,
        "finish",
        times.moment("finish", needs_clock=False),
    ),
    _row("count maxruns", _SCHEDULE, "repetitions", times.repetitions(1)),
    _row("repeatcount", _SCHEDULE, "repetitions", times.repetitions(0)),
    _row("exclude holidays blackout excludedates", _SCHEDULE, "except", to.dates("except")),
    _row(
        "jitter splay randomdelay randomizeddelaysec randomsleep",
        _SCHEDULE,
        "spread",
        to.duration("spread", 1),
    ),
    _row("misfirepolicy", _SCHEDULE, "misfire", _nothing),
    _row(
        "catchup",
        _SCHEDULE,
        "misfire",
        to.constant({"true": {"misfire": "fire_all"}, "false": {"misfire": "skip"}}),
    ),
    _row(
        "coalesce",
        _SCHEDULE,
        "misfire",
        to.constant({"true": _ONCE, "false": {"misfire": "fire_all"}}),
    ),
    _row(
        "persistent",
        _SCHEDULE,
        "misfire",
        to.constant({"true": _ONCE, "false": {"misfire": "skip"}}),
    ),
    _row(
        "gracetime misfiregracetime startingdeadlineseconds",
        _SCHEDULE,
        "misfire_grace",
        to.duration("misfire_grace", 1),
    ),
)
