"""A jobs folder as a value: its valid requests and its rejected documents. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from runner.errors import Problem
from runner.requests.model import ProcessRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A file, or some of its documents, that cannot be used.

    `names` are the names of the rejected documents. With `whole` some of those names
    are unknown, so every request that the file last supplied is affected. `blamed`
    pairs each problem with the name of its document.
    """

    file: str
    problems: tuple[Problem, ...]
    names: frozenset[str] = frozenset()
    whole: bool = False
    blamed: tuple[tuple[str, Problem], ...] = ()

    def problems_of(self, name: str) -> tuple[Problem, ...]:
        """Return the problems of one document, else all problems of the file."""
        return tuple(problem for owner, problem in self.blamed if owner == name) or self.problems

    def with_more(self, other: Rejection) -> Rejection:
        """Return the rejection of the same file for the reasons of both."""
        return Rejection(
            file=self.file,
            problems=(*self.problems, *other.problems),
            names=self.names | other.names,
            whole=self.whole or other.whole,
            blamed=(*self.blamed, *other.blamed),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All requests of a folder, by name.

    `absence` says why the folder itself shows nothing ("does not exist"); None if it could
    be read. `files` counts the request files found. If `former` is given, only the names
    in `altered` may have other requests than there.
    """

    folder: Path
    requests: Mapping[str, ProcessRequest] = field(default_factory=dict)
    rejections: tuple[Rejection, ...] = ()
    files: int = 0
    absence: str | None = None
    former: Mapping[str, ProcessRequest] | None = field(default=None, compare=False)
    altered: AbstractSet[str] = field(default=frozenset(), compare=False)

    @property
    def missing(self) -> bool:
        """Whether the folder itself is absent or unreadable."""
        return self.absence is not None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems of all files, by file, line and column."""
        # The problem of a whole folder is in the rejection of each of its files.
        unique = dict.fromkeys(
            problem for rejection in self.rejections for problem in rejection.problems
        )
        return tuple(
            sorted(unique, key=lambda problem: (problem.file, problem.line, problem.column))
        )
