"""Foreign values of our own keys, and what to write instead. Pure.

A reading takes the value and the mapping around it. It returns a value, or a `Replacement`
that replaces several keys. The suggestion appears only if the resulting request would
be valid.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from runner.requests.findings import DataPath, value_at
from runner.requests.schema.hints import conversions as to
from runner.requests.schema.hints import suggestions
from runner.requests.schema.hints.conversions import Around
from runner.requests.schema.hints.meant_keys import NOTES, fits
from runner.requests.schema.hints.meant_timings import (
    TIMING_READINGS,
    WITHOUT_TIMING,
    Reading,
    Replacement,
    is_by_hand,
)
from runner.values import parse_size

_CHOICES: Mapping[str, Mapping[str, str]] = {
    "misfire": {
        "ignore": "skip",
        "donothing": "skip",
        "none": "skip",
        "once": "fire_once",
        "runonce": "fire_once",
        "fireonce": "fire_once",
        "fireoncenow": "fire_once",
        "fireall": "fire_all",
        "all": "fire_all",
        "runall": "fire_all",
    },
    "on_overlap": {
        "skip": "refuse",
        "forbid": "refuse",
        "drop": "refuse",
        "wait": "queue",
        "enqueue": "queue",
        "kill": "replace",
        "cancel": "replace",
        "terminate": "replace",
    },
    "if_interrupted": {
        "retry": "rerun",
        "restart": "rerun",
        "rerunonce": "rerun",
        "ignore": "record",
        "skip": "record",
    },
}


def meant_by_value(path: DataPath, data: object) -> str | None:
    """Return what to write instead of the value at `path`, None if its meaning is uncertain."""
    if is_by_hand(path, value_at(data, path)):
        return WITHOUT_TIMING
    depth = next(
        (length for length in range(len(path), 0, -1) if isinstance(path[length - 1], str)), 0
    )
    at, key = path[:depth], str(path[depth - 1]) if depth else ""
    reading, around = _READINGS.get(key), value_at(data, at[:-1])
    if reading is None or not isinstance(around, dict):
        return None
    meant = reading(value_at(data, at), around)
    if meant is None:
        return None
    entries = meant.entries if isinstance(meant, Replacement) else {key: meant}
    rest = {name: each for name, each in around.items() if name != key}
    if not fits(at[:-1], rest, entries):
        return None
    if isinstance(meant, Replacement) or len(path) > len(at):
        suggestion = suggestions.write_entries(entries)
    else:
        suggestion = suggestions.write(meant)
    return f"{suggestion}; {NOTES[key]}" if suggestion and key in NOTES else suggestion


def _choice(key: str) -> Reading:
    return lambda value, _: _CHOICES[key].get(re.sub("[-_ ]", "", str(value)).lower())


def _command(value: Any, around: Around) -> Any:
    if not isinstance(value, str):
        return None
    action = to.command(value, around)
    if action is None:
        return None
    return Replacement(action) if "shell" in action else action["command"]


def _inner(key: str, convert: to.Convert) -> Reading:
    """Return a reading that yields the value below our key."""

    def reading(value: Any, around: Around) -> Any:
        entries = convert(value, around)
        return entries[key] if entries and key in entries else None

    return reading


def _retry(value: Any, _: Around) -> Any:
    is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return {"attempts": value + 1} if is_number else None


def _follow_up(value: Any, _: Around) -> Any:
    return (
        {"request": value} if isinstance(value, str) and suggestions.is_name_like(value) else None
    )


def _group(value: Any, _: Around) -> Any:
    """Take a list as the members."""
    return {"members": _members(value, {}) or value} if isinstance(value, list) and value else None


def _members(value: Any, _: Around) -> Any:
    if not isinstance(value, list):
        return None
    found = [
        {"request": each} if isinstance(each, str) and suggestions.is_name_like(each) else each
        for each in value
    ]
    return found if found != value else None


def _success(value: Any, _: Around) -> Any:
    codes = value if isinstance(value, list) else [value]
    return {"exit_codes": codes} if codes and all(type(code) is int for code in codes) else None


def _codes(value: Any, _: Around) -> Any:
    return [value] if type(value) is int else None


def _size(value: Any, _: Around) -> Any:
    """Spell a size in our units.

    `1G` stays unconverted, because programs disagree on its size.
    """
    if not isinstance(value, str):
        return None
    match = re.fullmatch(r"(\d{1,15})\s*([kmgt]i?)?(b|bytes?)?", value.strip().lower(), re.ASCII)
    if not match or not (match[3] or (match[2] or "").endswith("i")):
        return None
    unit = (match[2] or "").upper().replace("I", "i")
    text = f"{match[1]}{unit}B"
    return text if text != value and parse_size(text) else None


def _umask(value: Any, _: Around) -> Any:
    return f"{value:03}" if type(value) is int and re.fullmatch("[0-7]{1,3}", str(value)) else None


_READINGS: Mapping[str, Reading] = {
    **TIMING_READINGS,
    "misfire": _choice("misfire"),
    "on_overlap": _choice("on_overlap"),
    "if_interrupted": _choice("if_interrupted"),
    "command": _command,
    "environment": _inner("environment", to.environment),
    "run_as": _inner("run_as", to.run_as),
    "retry": _retry,
    "on_success": _follow_up,
    "on_failure": _follow_up,
    "group": _group,
    "members": _members,
    "success": _success,
    "exit_codes": _codes,
    "memory": _size,
    "output_limit": _size,
    "umask": _umask,
}
