"""A jobs folder as a value: its valid requests and its rejected documents. Reads files.

`CatalogReader.scan` is a generator: its owner runs it in slices, and no slice grows
with the folder.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from runner.errors import Problem
from runner.requests.catalog.cross_checks.references import broken_references, with_unique_names
from runner.requests.catalog.loading import Candidate, file_problem
from runner.requests.catalog.remembered_files import Notes, notes_in, recollected, written
from runner.requests.catalog.scan import JobFiles
from runner.requests.model import ProcessRequest
from runner.system.garbage_collection import unswept
from runner.values import neutral

_Whole = TypeVar("_Whole")
_BETWEEN_YIELDS = 1000


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All requests of a folder, by name.

    `absence` says why the folder itself shows nothing ("does not exist"); None if it could
    be read. `files` counts the request files found.
    """

    folder: Path
    requests: Mapping[str, ProcessRequest] = field(default_factory=dict)
    rejections: tuple[Rejection, ...] = ()
    files: int = 0
    absence: str | None = None

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


class CatalogReader:
    """Reads a folder repeatedly; unchanged files are read once.

    With `is_guarded`, a file or folder that another user may change is rejected: root
    must not run its content.
    """

    def __init__(self, folder: Path, *, default_zone: str, is_guarded: bool = False) -> None:
        self._folder = folder
        self._root = str(folder.absolute())
        self._display_prefix = "" if folder == Path() else f"{folder}/"
        self._default_zone = default_zone
        self._files = JobFiles(
            folder, display=self._display, default_zone=default_zone, is_guarded=is_guarded
        )

    @property
    def is_news(self) -> bool:
        """Whether valid files were read or disappeared since the last call of `written`."""
        return self._files.is_news

    @property
    def read_besides(self) -> frozenset[str]:
        """The absolute paths of other files read, or attempted, for request files:
        dates of `except`.
        """
        return self._files.defaults.reads.union(
            *(entry.file.reads for entry in self._files.entries.values())
        )

    @property
    def followed(self) -> frozenset[str]:
        """The absolute paths of links and of other files that the last scan used."""
        return self._files.followed

    def notes_in(self, text: str | bytes) -> Notes:
        """Return what an earlier reader of this folder has `written`.

        Empty for any other text.
        """
        return notes_in(text, root=self._root, zone=self._default_zone)

    def recall(self, notes: Notes, requests: Mapping[str, ProcessRequest]) -> None:
        """Reuse the noted files whose requests equal those in `requests`, from the store."""
        known = recollected(notes, requests, display=self._display)
        for relative in sorted(known):
            self._files.keep(relative, known[relative])

    def written(self) -> str:
        """Return the text that `recall` needs at the next start; it covers valid files only."""
        self._files.is_news = False
        return written(self._files.entries, root=self._root, zone=self._default_zone)

    def scan(self, incumbents: Mapping[str, str]) -> Generator[None, None, Catalog]:
        """Read the folder in slices, one `yield` per opened file, and return the catalog.

        `incumbents` maps request names to the files that supply them now: of two
        documents with one name, that file's document wins. A file that changes during
        the scan is read again, so that the catalog shows one moment.
        """
        yield from self._files.refresh()
        if self._files.absence is not None:
            return Catalog(folder=self._folder, absence=self._files.absence)
        return (yield from _Merging(self._files, incumbents, self._display).catalog(self._folder))

    def read(self, incumbents: Mapping[str, str] | None = None) -> Catalog:
        """Scan in one go; the requests are sorted by name."""
        with unswept():
            catalog = exhausted(self.scan(incumbents or {}))
        return replace(catalog, requests=dict(sorted(catalog.requests.items(), key=itemgetter(0))))

    def glance(self) -> Generator[None, None, bool]:
        """Read changed files in slices, so that the next scan has little left to read.

        The generator returns whether any file had changed.
        """
        return self._files.glance()

    def look(self) -> Generator[None, None, bool]:
        """Return, by `stat` alone and in slices, whether anything changed since the last scan."""
        return self._files.look()

    def _display(self, relative: str) -> str:
        return neutral(f"{self._display_prefix}{relative}") or "."


def exhausted(slices: Generator[None, None, _Whole]) -> _Whole:
    """Run a generator to its end and return its value."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            whole: _Whole = end.value
            return whole


class _Merging:
    """Merges the files into one catalog, in slices."""

    def __init__(
        self, files: JobFiles, incumbents: Mapping[str, str], display: Callable[[str], str]
    ) -> None:
        self._files = files
        self._incumbents = incumbents
        self._display = display
        self._rejected = _Rejected()
        self._chosen: dict[str, Candidate] = {}
        self._rivals: dict[str, list[Candidate]] = {}
        self._requests: dict[str, ProcessRequest] = {}

    def catalog(self, folder: Path) -> Generator[None, None, Catalog]:
        """Run every step in order and return the catalog."""
        yield from self._reject_files()
        yield from self._reject_troubles()
        self._reject_defaults()
        yield from self._choose()
        kept = yield from self._kept()
        yield from self._settle(kept)
        tolerated = frozenset((*self._rejected.names, *kept))
        broken = list(broken_references(self._chosen, tolerated, self._incumbents))
        self._rejected.refuse(broken)
        for name in dict.fromkeys(candidate.request.name for candidate, _ in broken):
            self._drop(name)
        count = len(self._files.entries) + sum(
            not trouble.is_folder for trouble in self._files.troubles.values()
        )
        return Catalog(
            folder=folder, requests=self._requests, rejections=tuple(self._rejected), files=count
        )

    def _reject_files(self) -> Generator[None, None, None]:
        """Add the problems of every file that has some."""
        for count, relative in enumerate(sorted(self._files.bad)):
            file = self._files.entries[relative].file
            self._rejected.add(
                relative, *file.problems, names=file.names, whole=file.is_whole, blamed=file.blamed
            )
            if count % _BETWEEN_YIELDS == 0:
                yield

    def _reject_troubles(self) -> Generator[None, None, None]:
        """Add the unreadable files and folders, a folder for each file it supplied."""
        for relative, trouble in sorted(self._files.troubles.items(), key=itemgetter(0)):
            problem = file_problem(self._display(relative), trouble)
            self._rejected.add(relative, problem, whole=True)
            if trouble.is_folder:
                for file in (yield from self._supplied_below(relative)):
                    self._rejected.add(file, problem, whole=True)

    def _reject_defaults(self) -> None:
        """Report the problems of shared defaults.

        The requests that they concern are rejected already.
        """
        for relative, problems in self._files.defaults.problems.items():
            if relative not in self._files.troubles:
                self._rejected.add(relative, *problems, whole=True)

    def _supplied_below(self, folder: str) -> Generator[None, None, frozenset[str]]:
        """Return the supplying files below a folder that became unreadable."""
        below, files = f"{folder}/" if folder else "", set()
        for count, file in enumerate(self._incumbents.values()):
            if file.startswith(below) and file not in self._files.entries:
                files.add(file)
            if count % _BETWEEN_YIELDS == 0:
                yield
        return frozenset(files)

    def _choose(self) -> Generator[None, None, None]:
        """Give each name to its first candidate, by file and line; note rivals for `_settle`."""
        entries, chosen, requests = self._files.entries, self._chosen, self._requests
        for count, relative in enumerate(self._files.order):
            for candidate in entries[relative].file.candidates:
                request = candidate.request
                first = chosen.setdefault(request.name, candidate)
                if first is candidate:
                    requests[request.name] = request
                else:
                    self._rivals.setdefault(request.name, [first]).append(candidate)
            if count % _BETWEEN_YIELDS == 0:
                yield

    def _kept(self) -> Generator[None, None, set[str]]:
        """Return the names that stay in force because their files are rejected."""
        kept: set[str] = set()
        for count, (name, file) in enumerate(self._incumbents.items() if self._rejected else ()):
            if self._rejected.covers(name, file):
                kept.add(name)
            if count % _BETWEEN_YIELDS == 0:
                yield
        return kept

    def _settle(self, kept: set[str]) -> Generator[None, None, None]:
        """Choose between rivals for one name, and between a new and a kept request."""
        rivals = {name: [self._chosen[name]] for name in kept & self._chosen.keys()} | self._rivals
        for name, rivals_of_name in rivals.items():
            winners, refused = with_unique_names(
                rivals_of_name, self._incumbents, self._rejected.covers
            )
            self._rejected.refuse(refused)
            self._drop(name)
            for winner in winners.values():
                self._chosen[name], self._requests[name] = winner, winner.request
            yield

    def _drop(self, name: str) -> None:
        del self._chosen[name], self._requests[name]


class _Rejected:
    """Collects rejections, one per file."""

    def __init__(self) -> None:
        self._by_file: dict[str, Rejection] = {}

    @property
    def names(self) -> Iterator[str]:
        """The names of all rejected documents."""
        return (name for rejection in self._by_file.values() for name in rejection.names)

    def __bool__(self) -> bool:
        return bool(self._by_file)

    def __iter__(self) -> Iterator[Rejection]:
        return iter(self._by_file[file] for file in sorted(self._by_file))

    def add(
        self,
        file: str,
        *problems: Problem,
        names: frozenset[str] = frozenset(),
        whole: bool = False,
        blamed: tuple[tuple[str, Problem], ...] = (),
    ) -> None:
        """Add problems to the rejection of a file."""
        if problems:
            known = self._by_file.get(file, Rejection(file=file, problems=()))
            self._by_file[file] = Rejection(
                file=file,
                problems=(*known.problems, *problems),
                names=known.names | names,
                whole=known.whole or whole,
                blamed=(*known.blamed, *blamed),
            )

    def refuse(self, refused: list[tuple[Candidate, Problem]]) -> None:
        """Reject candidates, each with its own problem."""
        for candidate, problem in refused:
            name = candidate.request.name
            self.add(
                candidate.request.source.file,
                problem,
                names=frozenset({name}),
                blamed=((name, problem),),
            )

    def covers(self, name: str, file: str) -> bool:
        """Report whether a rejection of `file` keeps its former request `name` in force."""
        rejection = self._by_file.get(file)
        return rejection is not None and (rejection.whole or name in rejection.names)
