"""A process as JSON text for the store, and back. Pure.

Defaults are left out, so the text of an earlier version reads as a process of this one.
Keys that only a later version knows are ignored. Durations are whole microseconds. The
text is ASCII, so that a lone surrogate survives.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, Field, dataclass, fields
from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, assert_never

from runner.lifecycle import IfInterrupted, OnOverlap
from runner.requests.model import (
    Action,
    Command,
    Group,
    Limits,
    Process,
    Python,
    Reference,
    Retry,
    RunAs,
    Shell,
    Success,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    Json = Mapping[str, Any]

_MICROSECOND = timedelta(microseconds=1)
_encode = json.JSONEncoder(separators=(",", ":")).encode


def process_text(process: Process) -> str:
    """Write a process with its action and members as JSON.

    >>> second = timedelta(seconds=1)
    >>> listing = Command(arguments=("ls",))
    >>> process_text(Process(name="a", action=listing, directory="/", timeout=second))
    '{"name":"a","directory":"/","command":["ls"],"timeout":1000000}'
    """
    return _encode(_json_of(process))


def process_from(text: str) -> Process:
    """Read the text of `process_text`.

    Raises ValueError, KeyError or TypeError for any other text.
    """
    return _process(json.loads(text))


def _json_of(process: Process) -> dict[str, Any]:
    action = _action_json(process.action)
    return {
        "name": process.name,
        "directory": process.directory,
        **action,
        **_PROCESS.json_of(process),
    }


def _process(data: Json) -> Process:
    return Process(
        name=data["name"], directory=data["directory"], action=_action(data), **_PROCESS.known(data)
    )


def _action_json(action: Action) -> dict[str, Any]:
    match action:
        case Command(arguments=arguments):
            return {"command": arguments}
        case Shell(line=line):
            return {"shell": line}
        case Python(target=target):
            return {"python": target}
        case Group(members=members, stop_on_failure=stops):
            return {
                "group": {
                    "members": [_json_of(member) for member in members],
                    "stop_on_failure": stops,
                }
            }
        case Reference(request=name):
            return {"request": name}
        case _:
            assert_never(action)


def _action(data: Json) -> Action:
    match data:
        case {"command": arguments}:
            return Command(arguments=tuple(arguments))
        case {"shell": line}:
            return Shell(line=line)
        case {"python": target}:
            return Python(target=target)
        case {"group": {"members": members, "stop_on_failure": stops}}:
            return Group(members=tuple(map(_process, members)), stop_on_failure=stops)
        case {"request": name}:
            return Reference(request=name)
    raise ValueError("the text of a process has no action that this version knows")


@dataclass(frozen=True, slots=True)
class _Way:
    """How a value becomes JSON, and back."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


class _Kept:
    """The conversion of a dataclass: the defaults of its fields, and the ways of values
    that JSON lacks.

    The caller converts the fields `apart` itself.
    """

    def __init__(
        self, type_: type[Any], ways: Mapping[str, _Way], *, apart: Collection[str] = ()
    ) -> None:
        kept = [field for field in fields(type_) if field.name not in apart]
        ways = {field.name: ways.get(field.name, _AS_IT_IS) for field in kept}
        self._values = attrgetter(*ways)
        self._defaults = [(field.name, _default(field), ways[field.name].write) for field in kept]
        self._readers = {name: way.read for name, way in ways.items()}

    def json_of(self, whole: object) -> dict[str, Any]:
        """Return the fields that differ from their defaults, as JSON values."""
        return {
            name: write(value)
            for value, (name, default, write) in zip(
                self._values(whole), self._defaults, strict=True
            )
            if value is not default and value != default
        }

    def known(self, data: Json) -> dict[str, Any]:
        """Return the fields in `data` that this version has, converted back."""
        readers = self._readers
        return {name: readers[name](value) for name, value in data.items() if name in readers}


def _default(field: Field[Any]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _nested(type_: type[Any], ways: Mapping[str, _Way]) -> _Way:
    kept = _Kept(type_, ways)
    return _Way(kept.json_of, lambda data: type_(**kept.known(data)))


def _same(value: Any) -> Any:
    return value


_AS_IT_IS = _Way(_same, _same)
_TUPLE = _Way(_same, tuple)
_CODES = _Way(sorted, frozenset)
_DURATION = _Way(
    lambda span: span // _MICROSECOND, lambda microseconds: timedelta(microseconds=microseconds)
)
_PROCESS = _Kept(
    Process,
    {
        "environment_files": _TUPLE,
        "secrets": _TUPLE,
        "run_as": _nested(RunAs, {}),
        "limits": _nested(Limits, {"cpu": _DURATION}),
        "timeout": _DURATION,
        "stop_grace": _DURATION,
        "on_overlap": _Way(_same, OnOverlap),
        "success": _nested(Success, {"exit_codes": _CODES}),
        "retry": _nested(Retry, {"delay": _DURATION, "max_delay": _DURATION, "exit_codes": _CODES}),
        "if_interrupted": _Way(_same, IfInterrupted),
        "emptied": _TUPLE,
    },
    apart=("name", "directory", "action"),
)
