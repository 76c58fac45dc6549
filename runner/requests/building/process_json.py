"""A process as JSON text for the store, and back. Pure.

The form of a field follows from its type in the model.

Defaults are left out, so the text of an earlier version reads as a process of this one.
Keys that only a later version knows are ignored. Durations are whole microseconds. The
text is ASCII, so that a lone surrogate survives.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import timedelta
from enum import Enum
from operator import attrgetter
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, assert_never, get_args, get_origin, get_type_hints

from runner.requests.model import Action, Group, Process, Program, Python, Reference, Shell

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    Json = Mapping[str, Any]

_MICROSECOND = timedelta(microseconds=1)
_encode = json.JSONEncoder(separators=(",", ":")).encode


def process_text(process: Process) -> str:
    """Write a process with its action and members as JSON.

    >>> second = timedelta(seconds=1)
    >>> listing = Program(arguments=("ls",))
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
        case Program(arguments=arguments):
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
    if "group" in data:
        group = data["group"]
        return Group(
            members=tuple(map(_process, group["members"])), stop_on_failure=group["stop_on_failure"]
        )
    return action_without_members(data)


def action_without_members(data: Json) -> Action:
    """Return the action in the data of a process other than a group, in a file or in the store.

    Raises ValueError if there is none.
    """
    match data:
        case {"command": arguments}:
            return Program(arguments=tuple(arguments))
        case {"shell": line}:
            return Shell(line=line)
        case {"python": target}:
            return Python(target=target)
        case {"request": name}:
            return Reference(request=name)
    raise ValueError("a process has no action that this version knows")


@dataclass(frozen=True, slots=True)
class _Conversion:
    """How a value becomes JSON, and back."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


class _Fields:
    """The conversion of a dataclass: the defaults and the conversions of its fields.

    The caller converts the fields `apart` itself.
    """

    def __init__(self, type_: type[Any], *, apart: Collection[str] = ()) -> None:
        types = get_type_hints(type_)
        kept = [field for field in fields(type_) if field.name not in apart]
        conversions = {field.name: _conversion_of(types[field.name]) for field in kept}
        self._values = attrgetter(*conversions)
        self._defaults = [
            (field.name, _default(field), conversions[field.name].write) for field in kept
        ]
        self._readers = {name: each.read for name, each in conversions.items()}

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


def _conversion_of(type_: Any) -> _Conversion:
    """Return the conversion of a field's type.

    None is the default of every field that may be None, and defaults are left out.
    Raises TypeError for a type without a conversion.
    """
    if isinstance(type_, UnionType):
        (type_,) = (each for each in get_args(type_) if each is not NoneType)
    whole: type[Any] = get_origin(type_) or type_
    if whole in _WAYS:
        return _WAYS[whole]
    if issubclass(whole, Enum):
        return _Conversion(_same, whole)
    if not is_dataclass(whole):
        raise TypeError(f"the store has no JSON form for {type_}")
    kept, build = _Fields(whole), whole
    return _Conversion(kept.json_of, lambda data: build(**kept.known(data)))


def _same(value: Any) -> Any:
    return value


_WAYS: Mapping[Any, _Conversion] = {
    **dict.fromkeys((str, int, float, bool, dict), _Conversion(_same, _same)),
    tuple: _Conversion(_same, tuple),
    frozenset: _Conversion(sorted, frozenset),
    timedelta: _Conversion(
        lambda span: span // _MICROSECOND,
        lambda microseconds: timedelta(microseconds=microseconds),
    ),
}
_PROCESS = _Fields(Process, apart=("name", "directory", "action"))
