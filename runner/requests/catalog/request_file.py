"""One file of a jobs folder: where it is, and what is known of it. Compares signatures on disk."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import Problem
from runner.requests.building.mentions import Mention
from runner.requests.catalog import defaults as shared
from runner.requests.catalog.cached_requests import Supply, whole
from runner.requests.catalog.defaults import Defaults
from runner.requests.files.bounded_read import Trouble, signature_at
from runner.requests.files.dates_file import DatesFile, dates_file
from runner.values import neutral

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.requests.catalog.catalog import Rejection
    from runner.requests.findings import DataPath, Spot
    from runner.requests.model import ProcessRequest
    from runner.system.regular_files import Signature


_CLOCK_TICK_NS = 100_000_000
"""Nanoseconds. A second change within one tick of the file system's clock leaves the
timestamps the same.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a file is: `relative` to the jobs folder, `display` for messages, `path` to open it.

    `defaults` apply to the requests of its folder. With `is_guarded`, files that root
    must not trust are refused.
    """

    relative: str
    display: str
    path: str
    default_zone: str
    defaults: Defaults = shared.NONE
    is_guarded: bool = False

    @property
    def root(self) -> str:
        """The jobs folder."""
        return self.path.removesuffix(self.relative)

    def dates_named(self, named: str, at: DataPath) -> DatesFile:
        """Read the file of dates that the document names at the path `at`."""
        return dates_file(
            named,
            at,
            path=self.path,
            display=self.display,
            root=self.root,
            is_guarded=self.is_guarded,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A valid request before the cross checks, with the positions of its name and its mentions.

    `supply` is the request, or what it can be built from.
    """

    supply: Supply
    display: str
    name_spot: Spot
    mentions: tuple[Mention, ...] = ()

    @property
    def request(self) -> ProcessRequest:
        """The request itself."""
        return whole(self.supply)

    @property
    def name(self) -> str:
        """The name of the request."""
        return self.supply.name

    @property
    def file(self) -> str:
        """Its file, relative to the jobs folder."""
        return self.supply.file

    def display_of(self, mention: Mention) -> str:
        """Return the file that contains a mention, as messages show it."""
        if mention.file is None:
            return self.display
        return self.display.removesuffix(neutral(self.file)) + neutral(mention.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFile:
    """What a file holds, and what shows whether that still holds."""

    candidates: tuple[Candidate, ...] = ()
    """Its valid requests."""
    rejection: Rejection | None = None
    """Its rejected documents, if any."""
    reads: Mapping[str, Signature | None]
    """The other files read for it (dates of `except`), with their signatures."""
    signature: Signature | None = None
    """The signature when it was read; None after a failure that may pass."""
    digest: bytes = b""
    """The SHA-256 of its bytes."""
    defaults: bytes = b""
    """The digest of the defaults used."""
    is_fresh: bool = False
    """Whether it, or another file read for it, changed so shortly before the read that a
    further change may leave its timestamps the same."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems of its rejected documents."""
        return self.rejection.problems if self.rejection else ()

    def is_same(self, other: RequestFile) -> bool:
        """Report whether another read found the same file and the same inputs."""
        return self._inputs() == other._inputs()

    def _inputs(self) -> tuple[object, ...]:
        return self.signature, self.digest, self.defaults, self.reads


def fresh_after_ns() -> int:
    """Return the time after which a change is so recent, now, that a further one may leave
    the timestamps of its file the same. Nanoseconds since the epoch.
    """
    return time.time_ns() - _CLOCK_TICK_NS


def reads_differ(file: RequestFile) -> bool:
    """Report whether any other file read for this one (dates of `except`) has changed."""
    return bool(file.reads) and any(
        signature_at(path) != signature for path, signature in file.reads.items()
    )


def file_problem(display: str, trouble: Trouble) -> Problem:
    """Return the problem of a file, or folder, that cannot be read as a whole."""
    return Problem(
        file=display,
        line=1,
        column=1,
        path="",
        message=trouble.reason,
        suggestion=trouble.suggestion,
    )
