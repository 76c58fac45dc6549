"""The settings that the requests of a folder share, and how a document receives them. Pure.

Defaults are filled in before validation, so that a document's own and inherited
settings are checked together. Settings that cannot apply are left out: `timing` for a
request that runs immediately, `process` for one that runs another's process. Settings
that belong to members rather than to their group go to the members defined in the
document.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.requests.schema.shipped import keys_excluded_by

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from runner.errors import Problem
    from runner.requests.building.request import DatesByKey
    from runner.requests.findings import Spot
    from runner.system.regular_files import Signature

NAMES = ("_defaults.yaml", "_defaults.yml")
MERGED = ("labels", "context", "environment", "params", "limits", "retention", "expect")
"""Mappings merged key by key: the nearest value of each key wins. Every other value is
replaced whole.
"""
PLACED = ("directory", "environment_file")
"""Process keys whose paths are relative to the file that sets them."""
OF_TIMINGS: Mapping[str, tuple[str, ...]] = {
    "run_later": ("timezone", "misfire", "misfire_grace"),
    "schedule": ("timezone", "misfire", "misfire_grace", "spread", "except", "only", "shift"),
}
"""The keys that a timing of each kind may inherit."""
_PARTS = ("process", "timing")


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFailure:
    """Where a folder's `on_failure` is set: the file, relative to the jobs folder, and
    the position of the name.
    """

    file: str
    spot: Spot


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What one defaults file sets, or several of them merged.

    `folders` are the absolute folders that the paths in `data` are relative to.
    `dates` has the entries of the files that `except` and `only` name, by key. Equal
    `digest` means equal in everything else. With `problems`, neither these defaults nor
    any request below them can be used.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    dates: DatesByKey = field(default_factory=dict)
    on_failure: SharedFailure | None = None
    problems: tuple[Problem, ...] = ()
    reads: Mapping[str, Signature | None] = field(default_factory=dict)
    digest: bytes = b""


NONE = Defaults()


def together(far: Defaults, near: Defaults, digest: bytes) -> Defaults:
    """Merge two defaults; where both set a value, `near` wins."""
    parts = {key: _over(far.data.get(key, {}), near.data.get(key, {})) for key in _PARTS}
    of_far = {key: far.dates[key] for key in far.dates if key not in near.data.get("timing", {})}
    return Defaults(
        data={**_over(far.data, near.data), **{key: part for key, part in parts.items() if part}},
        folders={**far.folders, **near.folders},
        dates={**of_far, **near.dates},
        on_failure=near.on_failure or far.on_failure,
        problems=(*far.problems, *near.problems),
        digest=digest,
    )


def filled(data: Any, defaults: Defaults, name: str | None) -> Any:
    """Return a document's data with defaults for what it leaves out.

    `name` is the document's name: a request does not inherit itself as its
    `on_failure`.
    """
    shared = defaults.data
    if not shared or not isinstance(data, dict):
        return data
    whole = _over(_without(shared, _PARTS), data)
    if "on_failure" in shared and "on_failure" not in data:
        whole["on_failure"] = _not_after_itself(shared["on_failure"], name)
        if not whole["on_failure"]:
            del whole["on_failure"]
    if "process" in shared and isinstance(data.get("process"), dict):
        whole["process"] = _process(shared["process"], data["process"])
    if "timing" in shared and isinstance(data.get("timing"), dict):
        whole["timing"] = _timing(shared["timing"], data["timing"])
    return whole


def _not_after_itself(on_failure: Mapping[str, Any], name: str | None) -> Mapping[str, Any]:
    """Return the `on_failure` that a request inherits: it does not run after itself."""
    if on_failure.get("request") == name:
        return _without(on_failure, ("request",))
    return on_failure


def folders_of(data: Any, defaults: Defaults) -> Mapping[str, str]:
    """Map each inherited path of a process to the folder that it is relative to."""
    process = data.get("process") if defaults.folders else None
    if not isinstance(process, dict) or "request" in process:
        return {}
    return {key: folder for key, folder in defaults.folders.items() if key not in process}


def dates_for(data: Any, defaults: Defaults) -> DatesByKey:
    """Return the dates that a document inherits from the defaults, by key."""
    timing = data.get("timing") if defaults.dates and isinstance(data, dict) else None
    schedule = timing.get("schedule") if isinstance(timing, dict) else None
    if not isinstance(schedule, dict):
        return {}
    return {key: dates for key, dates in defaults.dates.items() if key not in schedule}


def _over(far: Mapping[str, Any], near: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two mappings; `near` wins, key by key within `MERGED`."""
    whole = {**far, **near}
    for key in MERGED:
        if key in far and isinstance(near.get(key), dict):
            whole[key] = {**far[key], **near[key]}
    return whole


def _process(shared: Mapping[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return a process with its defaults."""
    if "request" in own:
        return own  # the other request's process has the settings
    if "group" in own:
        of_members = keys_excluded_by("group")
        whole = _over(_without(shared, of_members), own)
        left = {key: value for key, value in shared.items() if key in of_members}
        whole["group"] = _group(left, own["group"]) if left else own["group"]
    else:
        whole = _over(shared, own)
    # An inherited on_overlap would be an error without prevent_concurrent.
    if "on_overlap" not in own and whole.get("prevent_concurrent") is not True:
        whole.pop("on_overlap", None)
    return whole


def _group(shared: Mapping[str, Any], group: Any) -> Any:
    """Return a group whose inline members have the defaults."""
    members = group.get("members") if isinstance(group, dict) else None
    return (
        {**group, "members": [_member(shared, each) for each in members]}
        if isinstance(members, list)
        else group
    )


def _member(shared: Mapping[str, Any], own: Any) -> Any:
    if not isinstance(own, dict) or "request" in own:
        return own
    return {**own, "group": _group(shared, own["group"])} if "group" in own else _over(shared, own)


def _timing(shared: Mapping[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return a timing with the defaults of its kind."""
    for kind, keys in OF_TIMINGS.items():
        if isinstance(own.get(kind), dict):
            inherited = {key: shared[key] for key in keys if key in shared}
            return {**own, kind: {**inherited, **own[kind]}}
    return own


def _without(data: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in keys}
