"""A jobs folder as a value: the good requests, the rejected documents, and what to look at to see a change.

Reads files. `CatalogReader.scan` is a generator so that its owner can do it in slices.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.errors import Problem
from runner.requests.model import ProcessRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A file, or some documents of it, that cannot be used.

    `names` are the names that the rejected documents bear; with `whole` their names cannot all be told, so that every
    request the file last supplied is affected.
    """

    file: str
    problems: tuple[Problem, ...]
    names: frozenset[str] = frozenset()
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All requests of a folder by name. `missing` says that the folder itself is not there (or not readable).

    `files` counts the request files that were seen.
    """

    folder: Path
    requests: Mapping[str, ProcessRequest] = field(default_factory=dict)
    rejections: tuple[Rejection, ...] = ()
    files: int = 0
    missing: bool = False

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems of all files, by file, line and column."""
        raise NotImplementedError


class CatalogReader:
    """Reads a folder again and again; what did not change since the last scan is not read twice."""

    def __init__(self, folder: Path, *, default_zone: str) -> None:
        raise NotImplementedError

    def scan(self, incumbents: Mapping[str, str]) -> Generator[None, None, Catalog]:
        """Read the folder in slices (a `yield` between any two files) and return the catalog.

        `incumbents` maps request names to the file that supplies them now: of two documents with one name that file's
        stays. If a file changes while the scan runs, its part is read again, so that the catalog is of one moment.
        """
        raise NotImplementedError

    def read(self, incumbents: Mapping[str, str] | None = None) -> Catalog:
        """Scan in one go."""
        raise NotImplementedError

    def has_changed(self) -> bool:
        """Tell by stat alone whether anything that the last scan read looks different now, or files came or went."""
        raise NotImplementedError


def definition_text(request: ProcessRequest) -> str:
    """Write a request's definition as JSON text for the store: plain data, base folder, source, dates of `except`."""
    raise NotImplementedError


def request_from_definition(text: str, *, default_zone: str) -> ProcessRequest:
    """Build the request of a stored definition again. Raises RunnerError if this version cannot."""
    raise NotImplementedError
