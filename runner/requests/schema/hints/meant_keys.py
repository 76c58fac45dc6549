"""What to write instead of a key of another program, or of a misplaced key. Pure.

Where a value has no exact counterpart, or the result would not fit beside its
neighbours, the suggestion only names the right key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from runner.requests.findings import RUNNER_CALLS_IT, DataPath, path_text, value_at
from runner.requests.schema.hints import conversions as to
from runner.requests.schema.hints import timing_conversions as times
from runner.requests.schema.hints.aliases import ALIASES, Alias
from runner.requests.schema.hints.conversions import Around, Entries
from runner.requests.schema.hints.suggestions import write_entries
from runner.requests.schema.lookup import schema_at
from runner.requests.schema.shipped import is_request, schema_of

_PROCESS: DataPath = ("process",)
_SCHEDULE: DataPath = ("timing", "schedule")
_HOMES: tuple[DataPath, ...] = (
    *((), _PROCESS, ("process", "success"), ("timing",), ("timing", "run_later"), _SCHEDULE),
)
NOTES: Mapping[str, str] = {"retry": "attempts include the first one"}
_ACTIONS = frozenset({"command", "shell", "python", "group", "request"})
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
        if suggestion := write_entries(text):
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
    return f"{RUNNER_CALLS_IT}`{path_text((*home, alias.key))}`"


def _named(top: DataPath) -> str:
    return f"`{path_text(top)}`" if top else "the request itself"


def _joined(*keys: str) -> str:
    return " and ".join(f"`{key}`" for key in keys)
