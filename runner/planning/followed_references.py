"""Resolve `process: {request: NAME}`, also for the member of a group. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from runner.errors import RefusedError
from runner.requests.model import Group, Process, ProcessRequest, Reference

_INHERITED = ("environment", "environment_files", "params", "queue")


def followed(request: ProcessRequest, requests: Mapping[str, ProcessRequest]) -> Process:
    """Return the process that a request runs, after following its references.

    Raises RefusedError if a reference names no request or forms a cycle.
    """
    seen, process = {request.name}, request.process
    while isinstance(process.action, Reference):
        name = process.action.request
        if name in seen or name not in requests:
            raise RefusedError(
                f"it runs the process of {name!r}, which does not exist or is part of a cycle"
            )
        seen.add(name)
        process = requests[name].process
    return process


def as_member(process: Process, group: Process) -> Process:
    """Return another request's process as a member of a group.

    The member inherits the group's value of each key that it lacks, and passes it on to
    the members defined inside it. Members that are references inherit when they run. The
    secrets of both are joined, because inherited values may contain them.
    """
    inherited = {key: getattr(group, key) for key in _INHERITED if not process.says(key)}
    member = replace(
        process, secrets=tuple(dict.fromkeys((*process.secrets, *group.secrets))), **inherited
    )
    if not isinstance(process.action, Group):
        return member
    members = (
        each if isinstance(each.action, Reference) else as_member(each, member)
        for each in process.action.members
    )
    return replace(member, action=replace(process.action, members=tuple(members)))
