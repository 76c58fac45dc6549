"""The keys of other programs, and what to write here instead. Pure.

Each row gives the place of our key and the conversion of its value. Where a value has
no exact counterpart, or the result would not fit beside its neighbours, the suggestion
only names the right key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.requests.findings import THAT_IS, DataPath, path_text, value_at
from runner.requests.schema import conversions as to
from runner.requests.schema import timing_conversions as times
from runner.requests.schema.conversions import Around, Convert, Entries
from runner.requests.schema.lookup import schema_at
from runner.requests.schema.shipped import is_request, schema_of
from runner.requests.schema.suggestions import written

_TOP: DataPath = ()
_PROCESS: DataPath = ("process",)
_TIMING: DataPath = ("timing",)
_SCHEDULE: DataPath = ("timing", "schedule")
_HOMES: tuple[DataPath, ...] = (_TOP, _PROCESS, _TIMING, ("timing", "run_later"), _SCHEDULE)
NOTES: Mapping[str, str] = {"retry": "attempts count the first one too"}
_ACTIONS = frozenset({"command", "shell", "python", "group", "request"})
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
    _row("cmd exec program entrypoint executable", _PROCESS, "command", to.command),
    _row("args argv arguments", _PROCESS, "", to.arguments),
    _row("run script bash sh commandline", _PROCESS, "shell", to.shell),
    _row("function func callable", _PROCESS, "python", _nothing),
    _row("steps stages members tasks", _PROCESS, "group", to.members),
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
    _row("exclude holidays blackout excludedates", _SCHEDULE, "except", to.kept("except", list)),
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
_BY_NAME: Mapping[str, Alias] = {name: alias for alias in ALIASES for name in alias.names}


def meant_by_key(path: DataPath, data: object) -> str | None:
    """Return what to write for the unknown key at `path`, or the name of the right key.

    None if the key means nothing known.
    """
    key, parent, value = str(path[-1]), path[:-1], value_at(data, path)
    alias = _BY_NAME.get(re.sub("[-_ ]", "", key.lower())) or _misplaced(key, data)
    if alias is None:
        return None
    home = _home(alias, parent)
    around = value_at(data, parent)
    assert isinstance(around, dict)  # it has the key
    entries = alias.convert(value, around)
    if entries and (place := _fitting(home, entries, key, data)):
        top, text = place
        where = "" if top == parent else f"in {_named(top)}, "
        others = sorted(set(_used(alias, around)) - {key}, key=list(around).index)
        beside = f", in place of {_joined(key, *others)}" if others else ""
        if suggestion := written(text):
            note = f"; {NOTES[alias.key]}" if alias.key in NOTES else ""
            return f"{where}{suggestion}{beside}{note}"
    return None if (*home, alias.key) == parent else _pointer(alias, home, value)


def _misplaced(key: str, data: object) -> Alias | None:
    """Return a row for one of our own keys in the wrong mapping, if its place is unambiguous."""
    schema = schema_of("process-request")
    homes = [home for home in _HOMES if key in schema_at(schema, home).get("properties", {})]
    homes = [home for home in homes if len(homes) == 1 or isinstance(value_at(data, home), dict)]
    if len(homes) != 1:
        return None
    return Alias(
        names=(key,),
        home=homes[0],
        key="",
        convert=lambda value, _: None if value is None else {key: value},
    )


def _home(alias: Alias, parent: DataPath) -> DataPath:
    """Return where the key belongs for this document: the member itself, inside a group."""
    is_member = len(parent) > 1 and parent[-2] == "members"
    if is_member and (alias.home == _PROCESS or alias.key == "scheduled"):
        return parent
    if (
        alias.home == _SCHEDULE
        and parent == ("timing", "run_later")
        and alias.key in {"timezone", "start", "misfire"}
    ):
        return parent
    return alias.home


def _used(alias: Alias, around: Around) -> tuple[str, ...]:
    """Return the keys around the alias that the suggestion replaces."""
    if alias.convert is times.cron_fields:
        return times.cron_keys(around)
    joins = (
        alias.convert in (to.arguments, to.command, to.shell)
        and {"args", "arguments", "argv"} & around.keys()
    )
    return to.joined_with(around) if joins else ()


def _fitting(
    home: DataPath, entries: Entries, key: str, data: object
) -> tuple[DataPath, Entries] | None:
    """Return the nearest existing mapping and the entries for it, if the result is valid."""
    depth = next(
        length
        for length in range(len(home), -1, -1)
        if isinstance(value_at(data, home[:length]), dict)
    )
    top = home[:depth]
    entries = _nested(home[depth:], entries)
    there: Any = value_at(data, top)
    siblings = {name: value for name, value in there.items() if name != key}
    overridden = {"frequency", *(["command"] if "command" in entries else [])}
    if (siblings.keys() & entries.keys()) - overridden:
        return None
    return (top, entries) if fits(top, siblings, entries) else None


def fits(top: DataPath, siblings: Around, entries: Entries) -> bool:
    """Report whether a mapping at `top` may hold `entries` beside the known keys of `siblings`."""
    known = {key: value for key, value in siblings.items() if _is_key(top, key)} if top else {}
    return is_request(_skeleton(top, {**known, **entries}))


def _is_key(top: DataPath, key: str) -> bool:
    return key in schema_at(schema_of("process-request"), top).get("properties", {})


def _skeleton(top: DataPath, entries: Entries) -> Entries:
    """Return the smallest request that contains such a mapping."""
    if top[:1] != _PROCESS:
        return {"process": {"shell": ":"}, **_nested(top, entries)}
    depth = next(
        length for length in range(len(top), 0, -1) if length == 1 or top[length - 2] == "members"
    )
    process = _nested(top[depth:], entries)
    if not process.keys() & _ACTIONS:
        process = {"shell": ":", **process}
    if depth > 1:
        process = {
            "group": {
                "members": [process if "request" in process else {"name": "member", **process}]
            }
        }
    return {"process": process}


def _nested(path: DataPath, entries: Entries) -> Entries:
    """Wrap entries in the mappings along a path."""
    for part in reversed(path):
        entries = {str(part): entries}
    return entries


def _pointer(alias: Alias, home: DataPath, value: object) -> str | None:
    """Return a suggestion that names our key; None for a list of lines, which `shell`
    cannot hold.
    """
    if not alias.key or (isinstance(value, list) and alias.convert is to.shell):
        return None
    return f"{THAT_IS}`{path_text((*home, alias.key))}` here"


def _named(top: DataPath) -> str:
    return f"`{path_text(top)}`" if top else "the request itself"


def _joined(*keys: str) -> str:
    return " and ".join(f"`{key}`" for key in keys)
