"""A jobs folder as a value: the good requests, the rejected documents, and what to look at to see a change.

Reads files. `CatalogReader.scan` is a generator so that its owner can do it in slices.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from runner.errors import Problem, RunnerError
from runner.requests.building import built, draft_from
from runner.requests.cross_checks import broken_references, with_unique_names
from runner.requests.files import Listing, Trouble, listed, printable, read_bounded, signature_at
from runner.requests.loading import Candidate, LoadedFile, Place, file_problem, loaded
from runner.requests.model import ProcessRequest
from runner.requests.recollection import Entry, reads_differ, recollected, written
from runner.requests.schema import findings_in

_Whole = TypeVar("_Whole")
_ROUNDS = 4
"""How often a folder that changes while it is read is read again."""
_KNOWN_BETWEEN_YIELDS = 100
_CLOCK_TICK_NS = 100_000_000
"""A file changed so shortly before it was read may change again without its times showing it."""


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
        # One that concerns a whole folder stands in the rejection of each of its files.
        told = dict.fromkeys(problem for rejection in self.rejections for problem in rejection.problems)
        return tuple(sorted(told, key=lambda problem: (problem.file, problem.line, problem.column)))


class CatalogReader:
    """Reads a folder again and again; what did not change since the last scan is not read twice."""

    def __init__(self, folder: Path, *, default_zone: str) -> None:
        self._folder = folder
        self._root = str(folder.absolute())
        self._display_prefix = "" if folder == Path() else f"{folder}/"
        self._default_zone = default_zone
        self._entries: dict[str, Entry] = {}
        self._listing: Listing | None = None
        self._uncertain: list[Entry] = []
        self._has_read = False
        self.is_news = False
        """Whether files were read that `written` has not been asked about since, or have gone."""

    def recall(self, text: str | bytes, requests: Mapping[str, ProcessRequest]) -> None:
        """Know again what a former reader has `written`, if `requests`, from the store, are those it had read."""
        self._entries = recollected(text, requests, root=self._root, zone=self._default_zone, display=self._display)

    def written(self) -> str:
        """Write what is known of good files, for `recall` at the next start."""
        self.is_news = False
        return written(self._entries, root=self._root, zone=self._default_zone)

    def scan(self, incumbents: Mapping[str, str]) -> Generator[None, None, Catalog]:
        """Read the folder in slices (a `yield` between any two files that are opened) and return the catalog.

        `incumbents` maps request names to the file that supplies them now: of two documents with one name that file's
        stays. If a file changes while the scan runs, its part is read again, so that the catalog is of one moment.
        """
        for round_ in range(_ROUNDS):
            listing = yield from listed(self._folder)
            if listing is None or not (yield from self._refreshed(listing, is_first=round_ == 0)):
                break
        # Only now: a scan that is given up half-way has read nothing.
        self._listing, self._has_read = listing, True
        self._uncertain = [entry for entry in self._entries.values() if entry.signature is None or entry.file.reads]
        return self._catalog(listing, incumbents) if listing else Catalog(folder=self._folder, missing=True)

    def read(self, incumbents: Mapping[str, str] | None = None) -> Catalog:
        """Scan in one go."""
        return _exhausted(self.scan(incumbents or {}))

    def has_changed(self) -> bool:
        """Look in one go."""
        return _exhausted(self.look())

    def look(self) -> Generator[None, None, bool]:
        """Tell by stat alone, in slices, whether anything that the last scan read looks different, or came or went."""
        listing = yield from listed(self._folder)
        if not self._has_read or listing != self._listing:
            return True
        return any(entry.signature is None or reads_differ(entry.file) for entry in self._uncertain)

    def _refreshed(self, listing: Listing, *, is_first: bool) -> Generator[None, None, bool]:
        """Read the files that look different from what is known of them; tell whether there were any."""
        for gone in self._entries.keys() - listing.files.keys():
            del self._entries[gone]
            self.is_news = True
        changed = False
        for count, (relative, signature) in enumerate(sorted(listing.files.items(), key=itemgetter(0))):
            known = self._entries.get(relative)
            if known and known.is_still_so(signature) and not (is_first and known.is_fresh):
                if count % _KNOWN_BETWEEN_YIELDS == 0:
                    yield
                continue
            self._entries[relative] = entry = self._read_entry(relative, known)
            self.is_news |= not entry.file.problems
            changed |= known is None or (known.signature, known.digest) != (entry.signature, entry.digest)
            changed |= known is not None and known.file.reads != entry.file.reads
            yield
        return changed

    def _read_entry(self, relative: str, known: Entry | None) -> Entry:
        path = f"{self._root}/{relative}"
        content = read_bounded(path)
        if isinstance(content, Trouble):
            problem = file_problem(self._display(relative), content)
            file = LoadedFile(problems=(problem,), is_whole=True, reads={})
            return Entry(signature=None if content.may_pass else signature_at(path), digest=b"", file=file)
        fresh = content.signature is None or content.signature[-1] > time.time_ns() - _CLOCK_TICK_NS
        digest = hashlib.sha256(content.raw).digest()
        if known and known.digest == digest and not reads_differ(known.file):
            return Entry(signature=content.signature, digest=digest, file=known.file, is_fresh=fresh)
        place = Place(relative=relative, display=self._display(relative), path=path, default_zone=self._default_zone)
        return Entry(signature=content.signature, digest=digest, file=loaded(content, place), is_fresh=fresh)

    def _catalog(self, listing: Listing, incumbents: Mapping[str, str]) -> Catalog:
        rejected = _Rejected()
        for relative, entry in self._entries.items():
            if entry.file.problems:
                rejected.add(relative, *entry.file.problems, names=entry.file.names, whole=entry.file.is_whole)
        for relative, trouble in sorted(listing.troubles.items(), key=itemgetter(0)):
            problem = file_problem(self._display(relative), trouble)
            rejected.add(relative, problem, whole=True)
            for file in _files_below(relative, trouble, incumbents, listing):
                rejected.add(file, problem, whole=True)
        candidates = (each for relative in sorted(listing.files) for each in self._entries[relative].file.candidates)
        chosen, refused = with_unique_names(candidates, incumbents, rejected.covers)
        rejected.refuse(refused)
        kept = (name for name, file in incumbents.items() if rejected.covers(name, file))
        broken = list(broken_references(chosen, frozenset((*rejected.names, *kept))))
        rejected.refuse(broken)
        for candidate, _ in broken:
            del chosen[candidate.request.name]
        requests = {name: chosen[name].request for name in sorted(chosen)}
        count = len(listing.files) + sum(not trouble.is_folder for trouble in listing.troubles.values())
        return Catalog(folder=self._folder, requests=requests, rejections=tuple(rejected), files=count)

    def _display(self, relative: str) -> str:
        return printable(f"{self._display_prefix}{relative}") or "."


def _exhausted(slices: Generator[None, None, _Whole]) -> _Whole:
    while True:
        try:
            next(slices)
        except StopIteration as end:
            whole: _Whole = end.value
            return whole


def _files_below(folder: str, trouble: Trouble, incumbents: Mapping[str, str], listing: Listing) -> frozenset[str]:
    """Return the files below a folder that cannot be read which supply requests until now."""
    if not trouble.is_folder:
        return frozenset()
    below = f"{folder}/" if folder else ""
    return frozenset(file for file in incumbents.values() if file.startswith(below) and file not in listing.files)


class _Rejected:
    """Rejections in the making, one a file."""

    def __init__(self) -> None:
        self._by_file: dict[str, Rejection] = {}

    @property
    def names(self) -> Iterator[str]:
        return (name for rejection in self._by_file.values() for name in rejection.names)

    def __iter__(self) -> Iterator[Rejection]:
        return iter(self._by_file[file] for file in sorted(self._by_file))

    def add(self, file: str, *problems: Problem, names: frozenset[str] = frozenset(), whole: bool = False) -> None:
        if problems:
            known = self._by_file.get(file, Rejection(file=file, problems=()))
            self._by_file[file] = Rejection(
                file=file,
                problems=(*known.problems, *problems),
                names=known.names | names,
                whole=known.whole or whole,
            )

    def refuse(self, refused: list[tuple[Candidate, Problem]]) -> None:
        for candidate, problem in refused:
            self.add(candidate.request.source.file, problem, names=frozenset({candidate.request.name}))

    def covers(self, name: str, file: str) -> bool:
        """Tell whether the request `name` that `file` supplied last is kept, because of what is wrong with the file."""
        rejection = self._by_file.get(file)
        return rejection is not None and (rejection.whole or name in rejection.names)


def definition_text(request: ProcessRequest) -> str:
    """Write a request's definition as JSON text for the store: plain data, base folder, source, dates of `except`."""
    return request.source.definition


def request_from_definition(text: str, *, default_zone: str) -> ProcessRequest:
    """Build the request of a stored definition again. Raises RunnerError if this version cannot."""
    try:
        draft = draft_from(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunnerError(f"a stored definition cannot be read: {error}") from error
    findings = findings_in(draft.data)
    if not findings:
        request, findings = built(draft, default_zone=default_zone)
        if request is not None:
            return request
    reasons = "; ".join(finding.message for finding in findings[:3])
    raise RunnerError(f"the stored definition of {draft.name} is not valid in this version: {reasons}")
