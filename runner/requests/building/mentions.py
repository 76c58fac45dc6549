"""Where a request mentions another by its name. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.requests.model import Group, Process, ProcessRequest, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.requests.findings import DataPath, Spot

FORMERLY: DataPath = ("formerly",)
ON_FAILURE: DataPath = ("on_failure", "request")
_PROCESS: DataPath = ("process",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """The name of a request at a path of another's document, and the place of that in its file.

    `file`, relative to the jobs folder, is the one of the defaults if the name stands there.
    """

    path: DataPath
    name: str
    spot: Spot
    file: str | None = None

    @property
    def is_run(self) -> bool:
        """Whether the process of the one that is mentioned runs wherever that of the other does."""
        return self.path[:1] == _PROCESS


def mentioned(request: ProcessRequest) -> Iterator[tuple[DataPath, str]]:
    """Yield the path and the name of all that a request mentions, in the order of its members."""
    if isinstance(request.process.action, Reference | Group):
        yield from _in_process(request.process, _PROCESS)
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
