"""List the differences of two versions of a request: each key with both values. Pure.

No secret appears here: a document has only the names of secrets, never their values.
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
"""The fields of a process with a default from its request's name or its file's folder."""
_Leaves = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alteration:
    """One key that differs: its path ("timing.schedule.at") and its shortened values.

    A value is None if that version lacks the key.
    """

    path: str
    before: str | None = None
    after: str | None = None


def alterations(old: ProcessRequest, new: ProcessRequest) -> tuple[Alteration, ...]:
    """Return the differences in meaning of two versions.

    For a renamed request, the new name itself does not count as a difference.
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
    """Return the differences of the documents at or below a key."""
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
    top: str, found: list[Alteration], old: ProcessRequest, new: ProcessRequest
) -> list[Alteration]:
    """Add differences that the documents do not show, such as those from the file's folder."""
    match top:
        case "file":
            return [Alteration(path=top, before=old.source.file, after=new.source.file)]
        case "process":
            return found + _derived(found, old.process, new.process)
        case _:
            return found or [Alteration(path=top)]


def _derived(found: list[Alteration], old: Process, new: Process) -> list[Alteration]:
    names = [
        each.name for each in fields(Process) if getattr(old, each.name) != getattr(new, each.name)
    ]
    derived = [
        Alteration(path=f"process.{name}", before=getattr(old, name), after=getattr(new, name))
        for name in names
        if name in _DERIVED and f"process.{name}" not in {each.path for each in found}
    ]
    return derived or ([] if found else [Alteration(path=f"process.{name}") for name in names])


def _data(request: ProcessRequest) -> Mapping[str, Any]:
    return draft_from(request.source.definition).data if request.source.definition else {}


def _leaves(data: Mapping[str, Any]) -> _Leaves:
    return {path: _shown(value) for path, value in _walk("", data)}


def _walk(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the scalars and the lists of scalars in a document, with their paths."""
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
