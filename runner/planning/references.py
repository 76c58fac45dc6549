"""Whose process a request runs, `process: {request: NAME}` followed to its end, and as
what a group's member. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from runner.errors import RefusedError
from runner.requests.model import Group, Process, ProcessRequest, Reference

_INHERITED = ("environment", "environment_files", "params")


def followed(request: ProcessRequest, requests: Mapping[str, ProcessRequest]) -> Process:
    """Return what a request runs, its references followed. Raises RefusedError if one
    leads nowhere or in a circle.
    """
    seen, process = {request.name}, request.process
    while isinstance(process.action, Reference):
        name = process.action.request
        if name in seen or name not in requests:
            raise RefusedError(f"its process is that of {name!r}, which cannot be had")
        seen.add(name)
        process = requests[name].process
    return process


def as_member(process: Process, group: Process) -> Process:
    """Return what another request runs, as a member of a group: where it says nothing,
    it has what the group has.

    So have, in their turn, the members that are defined in it; its own references
    follow when they run. Secrets are those of all together, for what is inherited may
    hold them.
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
