"""From the data of a `process` that the schema accepts to a process with its members. Pure."""

from __future__ import annotations

import os.path
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from runner.requests.building.process_json import action_without_members
from runner.requests.building.process_settings import FIELDS, SETTINGS
from runner.requests.findings import DataPath, Finding, plain, shown
from runner.requests.model import Action, Group, Process

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.requests.building.document_part import Part

_FOLDERS_KEPT = 1 << 10
_EMPTY: dict[str, Any] = {}
"""Shared by the processes of all requests: nothing changes a value after it is built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """The settings that a process inherits.

    At the top they are the file's folder alone, inside a group the group's settings.
    `secrets` maps each variable to the path that names it; a member keeps those of its
    group, because inherited values may contain them. `held` are the guard names of the
    surrounding groups.
    """

    folder: str
    prefix: str
    directory: str
    environment: Mapping[str, str] = field(default_factory=dict)
    environment_files: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, DataPath] = field(default_factory=dict)
    queue: str | None = None
    held: frozenset[str] = frozenset()


def process_of(part: Part, *, request: str, folder: str, folders: Mapping[str, str]) -> Process:
    """Build the process of a request.

    `folder` is the absolute folder of its file. The paths under the keys in `folders`
    are relative to those folders instead.
    """
    around = _Around(folder=folder, prefix=request, directory=_absolute(folder, ""))
    if folders:
        placed = {
            key: _placed(part.data[key], folders[key]) for key in folders.keys() & part.data.keys()
        }
        part = replace(part, data={**part.data, **placed})
    return _process(part, around, part.data.get("name", request))


def _process(part: Part, around: _Around, name: str) -> Process:
    """Build a process over the settings that it inherits."""
    own = around if _INHERITED.isdisjoint(part.data) else _own(part, around)
    if own.secrets:
        _refuse_written_secrets(part, own)
    if part.data.get("prevent_concurrent", False):
        own = _guarded(part, own, name)
    return Process(
        name=name,
        action=_action(part, own),
        directory=own.directory,
        environment=dict(own.environment) or _EMPTY,
        environment_files=own.environment_files,
        secrets=tuple(own.secrets),
        queue=own.queue,
        params=dict(own.params) or _EMPTY,
        emptied=tuple(key for key in _MAY_BE_EMPTY if part.data.get(key) == {}),
        **{FIELDS.get(key, key): SETTINGS[key](part) for key in part.data if key in SETTINGS},
    )


def _own(part: Part, around: _Around) -> _Around:
    """Return a process's own settings over the inherited ones."""
    data, folder = part.data, around.folder
    named = {
        name: (*part.path, "secrets", index) for index, name in enumerate(data.get("secrets", ()))
    }
    return _Around(
        folder=folder,
        prefix=around.prefix,
        directory=_absolute(folder, data["directory"]) if "directory" in data else around.directory,
        environment=data.get("environment", around.environment),
        environment_files=_files(part, folder)
        if "environment_file" in data
        else around.environment_files,
        params=_params(part) if "params" in data else around.params,
        secrets={**around.secrets, **named},
        queue=data.get("queue", around.queue),
        held=around.held,
    )


def _guarded(part: Part, own: _Around, name: str) -> _Around:
    """Add a guarded process's name to the guards around its members.

    The same name inside itself would be a deadlock: the member would wait for its own
    group.
    """
    if name in own.held:
        message = (
            f"it would wait for its own group, which holds the guard {shown(name)} until its "
            "members have ended"
        )
        part.find(("name",), message, "give one of the two processes another `name`")
    return replace(own, held=own.held | {name})


def _action(part: Part, own: _Around) -> Action:
    """Return what the process runs."""
    if "group" in part.data:
        return _group(part.below("group"), own)
    return action_without_members(part.data)


def _group(part: Part, around: _Around) -> Group:
    """Build a group; refuse duplicate names and a group without a member to run."""
    taken: set[str] = set()
    members = []
    for index, data in enumerate(part.data["members"]):
        member, name = part.below("members", index), data.get("name")
        if name in taken:
            member.find(
                ("name",),
                f"another member is named {shown(name)} too",
                "give each a `name` of its own",
            )
        if name is not None:
            taken.add(name)
        members.append(_member(member, around))
    if not any(member.scheduled for member in members):
        message = "the group has no member to run: each says `scheduled: false`"
        part.find(("members",), message, "leave it out for one of them, or set it on the request")
    return Group(members=tuple(members), stop_on_failure=part.data.get("stop_on_failure", False))


def _member(part: Part, around: _Around) -> Process:
    """Build a member.

    A reference keeps the request's name; an inline member is named `group/member`.
    """
    if "request" in part.data:
        return _process(part, around, part.data["request"])
    name = f"{around.prefix}/{part.data['name']}"
    return _process(part, replace(around, prefix=name), name)


def _placed(paths: str | list[str], folder: str) -> str | list[str]:
    return (
        _absolute(folder, paths)
        if isinstance(paths, str)
        else [_absolute(folder, path) for path in paths]
    )


@lru_cache(maxsize=_FOLDERS_KEPT)
def _absolute(folder: str, path: str) -> str:
    # Keep `..` and links: they are resolved when the process starts.
    """Return an absolute path without `.` and empty parts."""
    parts = [part for part in os.path.join(folder, path).split("/") if part not in {"", "."}]  # noqa: PTH118
    return f"/{'/'.join(parts)}"


def _files(part: Part, folder: str) -> tuple[str, ...]:
    paths = part.data["environment_file"]
    return tuple(_absolute(folder, path) for path in ([paths] if isinstance(paths, str) else paths))


def _params(part: Part) -> Mapping[str, Any]:
    """Return the parameters.

    They become variables named RUNNER_PARAM_<NAME> in upper case, so two names must not
    differ in case alone.
    """
    params: Mapping[str, Any] = part.data["params"]
    seen: dict[str, str] = {}
    for name in params:
        other = seen.setdefault(name.upper(), name)
        if other != name:
            message = (
                f"`{plain(name)}` and `{plain(other)}` would both be "
                f"`RUNNER_PARAM_{plain(name.upper())}`"
            )
            part.find(("params", name), message, "give one of them another name", at_key=True)
    return params


def _refuse_written_secrets(part: Part, own: _Around) -> None:
    """Report secrets whose values are in the file.

    The finding points at the name in `secrets`: that line can be shown, the value's
    line cannot.
    """
    by_params = {
        variable
        for name in own.params
        for variable in (name.upper(), f"RUNNER_PARAM_{name.upper()}")
    }
    for secret, path in own.secrets.items():
        if secret not in own.environment and secret.upper() not in by_params:
            continue
        key = "environment" if secret in own.environment else "params"
        message = (
            f"the value of a secret must not be in the file: `{plain(secret)}` stands in `{key}`"
        )
        suggestion = "put it into an `environment_file` or the runner's own environment"
        part.findings.append(Finding(path=path, message=message, suggestion=suggestion))


_INHERITED = frozenset(
    {"directory", "environment", "environment_file", "params", "queue", "secrets"}
)
"""Keys that a member inherits from its group."""
_MAY_BE_EMPTY = ("environment", "params")
