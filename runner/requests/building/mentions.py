"""The names of other requests that a request mentions. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.requests.model import Group, Process, ProcessRequest, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.requests.findings import DataPath, Spot

FORMERLY: DataPath = ("formerly",)
ON_SUCCESS: DataPath = ("on_success", "request")
ON_FAILURE: DataPath = ("on_failure", "request")
_PROCESS: DataPath = ("process",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A mention of another request: its path in the document, the name, and its
    position in the file.

    `file`, relative to the jobs folder, is the defaults file if the name is inherited.
    """

    path: DataPath
    name: str
    spot: Spot
    file: str | None = None

    @property
    def is_run(self) -> bool:
        """Whether the mentioned request's process runs as part of this one's."""
        return self.path[:1] == _PROCESS

    @property
    def is_follow_up(self) -> bool:
        """Whether the mentioned request's process runs after this one's."""
        return self.path in (ON_SUCCESS, ON_FAILURE)


def mentioned(request: ProcessRequest) -> Iterator[tuple[DataPath, str]]:
    """Yield the path and name of each mention, members in their order."""
    if isinstance(request.process.action, Reference | Group):
        yield from _in_process(request.process, _PROCESS)
    if request.on_success is not None:
        yield ON_SUCCESS, request.on_success
    if request.on_failure is not None:
        yield ON_FAILURE, request.on_failure
    if request.formerly is not None:
        yield FORMERLY, request.formerly


def _in_process(process: Process, path: DataPath) -> Iterator[tuple[DataPath, str]]:
    match process.action:
        case Reference(request=name):
            yield (*path, "request"), name
        case Group(members=members):
            for index, member in enumerate(members):
                yield from _in_process(member, (*path, "group", "members", index))
        case _:
            return
