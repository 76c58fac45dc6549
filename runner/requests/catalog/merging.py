"""From the files of a jobs folder to its catalog, in slices. Pure."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import cast

from runner.errors import Problem
from runner.requests.catalog.cached_requests import SuppliedRequests, Supply
from runner.requests.catalog.catalog import Catalog, Rejection
from runner.requests.catalog.cross_checks.references import broken_references, with_unique_names
from runner.requests.catalog.plain_merge import PlainMerge
from runner.requests.catalog.request_file import Candidate, file_problem
from runner.requests.catalog.scan import JobFiles
from runner.requests.model import ProcessRequest

_BETWEEN_YIELDS = 1000


class Merging:
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
        self._supplies: dict[str, Supply] = {}
        self._requests: Mapping[str, ProcessRequest] = SuppliedRequests(self._supplies)
        self._is_whole = True
        self._mentioning: list[str] = []

    @property
    def plain(self) -> PlainMerge | None:
        """The result, for an update with a few files; None if there was any problem."""
        is_plain = not (self._rejected or self._rivals)
        return PlainMerge(self._files, self._requests, self._mentioning) if is_plain else None

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
        for name in dict.fromkeys(candidate.name for candidate, _ in broken):
            self._drop(name)
        if self._is_whole:
            self._requests = cast("Mapping[str, ProcessRequest]", self._supplies)
        count = len(self._files.by_path) + sum(
            not trouble.is_folder for trouble in self._files.troubles.values()
        )
        return Catalog(
            folder=folder, requests=self._requests, rejections=tuple(self._rejected), files=count
        )

    def _reject_files(self) -> Generator[None, None, None]:
        """Add the problems of every file that has some."""
        for count, relative in enumerate(sorted(self._files.bad)):
            if rejection := self._files.by_path[relative].rejection:
                self._rejected.add(rejection)
            if count % _BETWEEN_YIELDS == 0:
                yield

    def _reject_troubles(self) -> Generator[None, None, None]:
        """Add the unreadable files and folders, a folder for each file it supplied."""
        for relative, trouble in sorted(self._files.troubles.items(), key=itemgetter(0)):
            problem = file_problem(self._display(relative), trouble)
            self._rejected.add_whole(relative, problem)
            if trouble.is_folder:
                for file in (yield from self._supplied_below(relative)):
                    self._rejected.add_whole(file, problem)

    def _reject_defaults(self) -> None:
        """Report the problems of shared defaults.

        The requests that they concern are rejected already.
        """
        for relative, problems in self._files.defaults.problems.items():
            if relative not in self._files.troubles:
                self._rejected.add_whole(relative, *problems)

    def _supplied_below(self, folder: str) -> Generator[None, None, frozenset[str]]:
        """Return the supplying files below a folder that became unreadable."""
        below, files = f"{folder}/" if folder else "", set()
        for count, file in enumerate(self._incumbents.values()):
            if file.startswith(below) and file not in self._files.by_path:
                files.add(file)
            if count % _BETWEEN_YIELDS == 0:
                yield
        return frozenset(files)

    def _choose(self) -> Generator[None, None, None]:
        """Give each name to its first candidate, by file and line; note rivals for `_settle`."""
        by_path, chosen, supplies = self._files.by_path, self._chosen, self._supplies
        for count, relative in enumerate(self._files.order):
            for candidate in by_path[relative].candidates:
                name = candidate.name
                first = chosen.setdefault(name, candidate)
                if first is candidate:
                    supplies[name] = candidate.supply
                    self._is_whole &= isinstance(candidate.supply, ProcessRequest)
                    if candidate.mentions:
                        self._mentioning.append(name)
                else:
                    self._rivals.setdefault(name, [first]).append(candidate)
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
                self._chosen[name], self._supplies[name] = winner, winner.supply
            yield

    def _drop(self, name: str) -> None:
        del self._chosen[name], self._supplies[name]


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

    def add(self, rejection: Rejection) -> None:
        """Add a rejection to what is known of its file."""
        known = self._by_file.get(rejection.file)
        self._by_file[rejection.file] = known.with_more(rejection) if known else rejection

    def add_whole(self, file: str, *problems: Problem) -> None:
        """Reject all that a file supplies."""
        self.add(Rejection(file=file, problems=problems, whole=True))

    def refuse(self, refused: list[tuple[Candidate, Problem]]) -> None:
        """Reject candidates, each with its own problem."""
        for candidate, problem in refused:
            name = candidate.name
            self.add(
                Rejection(
                    file=candidate.file,
                    problems=(problem,),
                    names=frozenset({name}),
                    blamed=((name, problem),),
                )
            )

    def covers(self, name: str, file: str) -> bool:
        """Report whether a rejection of `file` keeps its former request `name` in force."""
        rejection = self._by_file.get(file)
        return rejection is not None and (rejection.whole or name in rejection.names)
