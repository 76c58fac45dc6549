"""What differs between two versions of a request, as its author would say it: which
key, from what to what. Pure.

A document has only the names of secrets: their values are refused in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from runner.planning.difference import changed_fields
from runner.requests.building.request import draft_from
from runner.requests.model import Process, ProcessRequest

_LONGEST = 60
_OF_A_RENAMING = {"name", "formerly"}
_DERIVED = {"name", "directory"}
"""What a process has of its request's name and its file's place where its document says
nothing of it.
"""
_Leaves = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alteration:
    """One key that differs: its path ("timing.schedule.at") and its values, short; None
    where it is not there.
    """

    path: str
    before: str | None = None
    after: str | None = None


def alterations(old: ProcessRequest, new: ProcessRequest) -> tuple[Alteration, ...]:
    """Return what differs between two versions in their meaning; of another name only
    what comes with that.
    """
    tops = [
        top
        for top in changed_fields(old, new)
        if not (old.name != new.name and top in _OF_A_RENAMING)
    ]
    if not tops:
        return ()
    one, other = _data(old), _data(new)
    before, after = _leaves(one), _leaves(other)
    return tuple(each for top in tops for each in _below(top, _of(top, before, after), old, new))


def _of(top: str, before: _Leaves, after: _Leaves) -> list[Alteration]:
    """Return what the documents themselves say differently at or below a key."""
    paths = [
        path
        for path in {**before, **after}
        if path == top or path.startswith((f"{top}.", f"{top}["))
    ]
    return [
        Alteration(path=path, before=before.get(path), after=after.get(path))
        for path in paths
        if before.get(path) != after.get(path)
    ]


def _below(
    top: str, told: list[Alteration], old: ProcessRequest, new: ProcessRequest
) -> list[Alteration]:
    """Add what differs although the documents say the same: by the place of the file,
    say, or the name.
    """
    match top:
        case "file":
            return [Alteration(path=top, before=old.source.file, after=new.source.file)]
        case "process":
            return told + _derived(told, old.process, new.process)
        case _:
            return told or [Alteration(path=top)]


def _derived(told: list[Alteration], old: Process, new: Process) -> list[Alteration]:
    names = [
        each.name for each in fields(Process) if getattr(old, each.name) != getattr(new, each.name)
    ]
    derived = [
        Alteration(path=f"process.{name}", before=getattr(old, name), after=getattr(new, name))
        for name in names
        if name in _DERIVED and f"process.{name}" not in {each.path for each in told}
    ]
    return derived or ([] if told else [Alteration(path=f"process.{name}") for name in names])


def _data(request: ProcessRequest) -> Mapping[str, Any]:
    return draft_from(request.source.definition).data if request.source.definition else {}


def _leaves(data: Mapping[str, Any]) -> _Leaves:
    return {path: _shown(value) for path, value in _walk("", data)}


def _walk(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values of a document that are no mappings, nor lists of mappings, with their paths."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _walk(f"{path}.{key}" if path else str(key), below)
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for index, below in enumerate(value):
            yield from _walk(f"{path}[{index}]", below)
    else:
        yield path, value


def _shown(value: Any) -> str:
    """Return a value as short text."""
    is_plain = isinstance(value, str) and value.isprintable() and value.strip() == value != ""
    text = value if is_plain else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
