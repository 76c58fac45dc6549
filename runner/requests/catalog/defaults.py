"""The settings that the requests of a folder share, and how a document is filled with them. Pure.

They are filled in before a document is validated, so that what is said and what is
inherited are judged together. What cannot apply to a request is not filled in: nothing
of `timing` to one that runs immediately, nothing of `process` to one that runs
another's process. What a group leaves to its members to say goes to those that are
defined in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.requests.schema.shipped import out_of_place_beside

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date

    from runner.errors import Problem
    from runner.requests.findings import Spot
    from runner.system.regular_files import Signature

NAMES = ("_defaults.yaml", "_defaults.yml")
MERGED = ("labels", "context", "environment", "params", "limits")
"""Mappings whose keys are settings of their own: the nearest value of each counts. All
else is replaced as a whole.
"""
PLACED = ("directory", "environment_file")
"""Keys of a process whose paths are relative to the file that says them."""
OF_TIMINGS: Mapping[str, tuple[str, ...]] = {
    "run_later": ("timezone", "misfire", "misfire_grace"),
    "schedule": ("timezone", "misfire", "misfire_grace", "spread", "except"),
}
"""What may be inherited by a timing of each kind."""
_PARTS = ("process", "timing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Where the `on_failure` of a folder is said: the file, relative to the jobs
    folder, and the place of the name.
    """

    file: str
    spot: Spot


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a file of settings says, or several of them together.

    `folders` are the absolute ones that paths in `data` are relative to, `excepted` the
    dates of the file that `except` names, and `digest` is the same only where all else
    is. With `problems` they cannot be used, nor any request below.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    excepted: frozenset[date] | None = None
    on_failure: Told | None = None
    problems: tuple[Problem, ...] = ()
    reads: Mapping[str, Signature | None] = field(default_factory=dict)
    digest: bytes = b""


NONE = Defaults()


def together(far: Defaults, near: Defaults, digest: bytes) -> Defaults:
    """Return what two files say together; where both say something, `near` counts."""
    parts = {key: _over(far.data.get(key, {}), near.data.get(key, {})) for key in _PARTS}
    has_dates = "except" in near.data.get("timing", {})
    return Defaults(
        data={**_over(far.data, near.data), **{key: part for key, part in parts.items() if part}},
        folders={**far.folders, **near.folders},
        excepted=near.excepted if has_dates else far.excepted,
        on_failure=near.on_failure or far.on_failure,
        problems=(*far.problems, *near.problems),
        digest=digest,
    )


def filled(data: Any, defaults: Defaults, name: str | None) -> Any:
    """Return the data of a document, which bears a name, with the defaults where it
    says nothing itself.
    """
    told = defaults.data
    if not told or not isinstance(data, dict):
        return data
    own_failure = told.get("on_failure", {}).get("request") == name
    whole = _over(_without(told, (*_PARTS, "on_failure") if own_failure else _PARTS), data)
    if "process" in told and isinstance(data.get("process"), dict):
        whole["process"] = _process(told["process"], data["process"])
    if "timing" in told and isinstance(data.get("timing"), dict):
        whole["timing"] = _timing(told["timing"], data["timing"])
    return whole


def folders_of(data: Any, defaults: Defaults) -> Mapping[str, str]:
    """Return, for the paths of a process that it has from the defaults, the folders
    that they are relative to.
    """
    process = data.get("process") if defaults.folders else None
    if not isinstance(process, dict) or "request" in process:
        return {}
    return {key: folder for key, folder in defaults.folders.items() if key not in process}


def has_dates_of(data: Any, defaults: Defaults) -> bool:
    """Tell whether a document has its `except` from the defaults."""
    timing = data.get("timing") if "except" in defaults.data.get("timing", {}) else None
    schedule = timing.get("schedule") if isinstance(timing, dict) else None
    return isinstance(schedule, dict) and "except" not in schedule


def _over(far: Mapping[str, Any], near: Mapping[str, Any]) -> dict[str, Any]:
    whole = {**far, **near}
    for key in MERGED:
        if key in far and isinstance(near.get(key), dict):
            whole[key] = {**far[key], **near[key]}
    return whole


def _process(told: Mapping[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    if "request" in own:
        return own
    if "group" in own:
        of_members = out_of_place_beside("group")
        whole = _over(_without(told, of_members), own)
        left = {key: value for key, value in told.items() if key in of_members}
        whole["group"] = _group(left, own["group"]) if left else own["group"]
    else:
        whole = _over(told, own)
    if "on_overlap" not in own and whole.get("prevent_concurrent") is not True:
        whole.pop("on_overlap", None)
    return whole


def _group(told: Mapping[str, Any], group: Any) -> Any:
    members = group.get("members") if isinstance(group, dict) else None
    return (
        {**group, "members": [_member(told, each) for each in members]}
        if isinstance(members, list)
        else group
    )


def _member(told: Mapping[str, Any], own: Any) -> Any:
    if not isinstance(own, dict) or "request" in own:
        return own
    return {**own, "group": _group(told, own["group"])} if "group" in own else _over(told, own)


def _timing(told: Mapping[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    for kind, keys in OF_TIMINGS.items():
        if isinstance(own.get(kind), dict):
            inherited = {key: told[key] for key in keys if key in told}
            return {**own, kind: {**inherited, **own[kind]}}
    return own


def _without(data: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in keys}
