"""Errors that exist only between a group and the requests that are its members. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.requests.findings import plain, shown
from runner.requests.model import Group, Process, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.requests.catalog.request_file import Candidate
    from runner.requests.findings import DataPath

    Wrong = tuple[str, str | None]

_MOST_STEPS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reached:
    """A process that runs inside a group.

    `has_environment` and `has_params` say whether it inherits those of the group.
    """

    process: Process
    request: str
    has_environment: bool
    has_params: bool


class GroupChecks:
    """Follows references and nested groups.

    The steps are limited over all groups; beyond `_MOST_STEPS` nothing more is
    reported.
    """

    def __init__(self, chosen: Mapping[str, Candidate]) -> None:
        self._chosen = chosen
        self._steps_left = _MOST_STEPS

    def wrong(self, candidate: Candidate) -> Mapping[DataPath, Wrong]:
        """Return what is wrong with each member that is a request, by the path of its name."""
        found: dict[DataPath, Wrong] = {}
        for path, name, groups in _named(candidate.request.process, ("process",), ()):
            wrong = self._wrong(name, groups)
            if wrong is not None:
                found[path] = wrong
        return found

    def _wrong(self, name: str, groups: tuple[Process, ...]) -> Wrong | None:
        group = groups[-1]
        held = {each.name for each in groups if each.prevent_concurrent}
        if not (held or group.environment or group.params):
            return None
        for reached in self._reached(name):
            process = reached.process
            if process.prevent_concurrent and process.name in held:
                return _awaited(
                    process.name, "it" if reached.request == name else f"`{reached.request}` in it"
                )
            for secret in process.secrets:
                if (key := _revealed(secret, group, reached)) is not None:
                    return _secret(secret, key)
        return None

    def _reached(self, target: str) -> Iterator[_Reached]:
        """Yield every process that runs when the request `target` runs as a member.

        Each request is visited once per combination of what it inherits.
        """
        ways = [(target, True, True)]
        seen = set(ways)
        for name, environment, params in ways:
            process = self._process_of(name)
            if process is None or self._steps_left <= 0:
                continue
            environment, params = (
                environment and not process.says("environment"),
                params and not process.says("params"),
            )
            yield _Reached(
                process=process, request=name, has_environment=environment, has_params=params
            )
            for reached in _members(name, process, environment, params):
                self._steps_left -= 1
                if not isinstance(reached.process.action, Reference):
                    yield reached
                    continue
                way = (reached.process.action.request, reached.has_environment, reached.has_params)
                if way not in seen:
                    seen.add(way)
                    ways.append(way)

    def _process_of(self, name: str) -> Process | None:
        """Return the process at the end of a chain of references.

        None if a request is missing or the chain is a cycle.
        """
        seen: set[str] = set()
        while name in self._chosen and name not in seen:
            self._steps_left -= 1
            seen.add(name)
            process = self._chosen[name].request.process
            if not isinstance(process.action, Reference):
                return process
            name = process.action.request
        return None


def _named(
    process: Process, path: DataPath, groups: tuple[Process, ...]
) -> Iterator[tuple[DataPath, str, tuple[Process, ...]]]:
    """Yield each member that is a request, with the groups around it, the innermost last."""
    if not isinstance(process.action, Group):
        return
    around = (*groups, process)
    for index, member in enumerate(process.action.members):
        place = (*path, "group", "members", index)
        if isinstance(member.action, Reference):
            yield (*place, "request"), member.action.request, around
        else:
            yield from _named(member, place, around)


def _members(request: str, group: Process, environment: bool, params: bool) -> Iterator[_Reached]:
    """Yield the members of a group and of its nested groups, with what they inherit."""
    if not isinstance(group.action, Group):
        return
    for member in group.action.members:
        inherits = (
            environment and not member.says("environment"),
            params and not member.says("params"),
        )
        yield _Reached(
            process=member, request=request, has_environment=inherits[0], has_params=inherits[1]
        )
        yield from _members(request, member, *inherits)


def _revealed(secret: str, group: Process, reached: _Reached) -> str | None:
    """Return the key in which the group's document shows the value of a member's secret."""
    if reached.has_environment and secret in group.environment:
        return "environment"
    names = (name.upper() for name in group.params) if reached.has_params else ()
    return (
        "params"
        if any(secret.upper() in {name, f"RUNNER_PARAM_{name}"} for name in names)
        else None
    )


def _awaited(guard: str, who: str) -> Wrong:
    message = (
        f"{who} would wait for this group, which holds the guard {shown(guard)} until its "
        "members have ended"
    )
    return message, "give one of the two processes another `name`"


def _secret(secret: str, key: str) -> Wrong:
    message = (
        f"the value of a secret must not be in the file: `{plain(secret)}` stands in the "
        f"group's `{key}`"
    )
    return message, "put it into an `environment_file` or the runner's own environment"
