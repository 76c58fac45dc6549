"""The merge of a folder without any problem, brought up to date with a few changed files.

A full merge passes over all files; this one passes over the changed files and over the
requests that mention others. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from runner.requests.catalog.catalog import Catalog
from runner.requests.catalog.cross_checks.references import broken_references
from runner.requests.catalog.request_file import Candidate, RequestFile
from runner.requests.catalog.scan import JobFiles
from runner.requests.model import ProcessRequest


class PlainMerge:
    """The result of a merge without rejections, in which each name had one claimant.

    `mentioning` are the names of the requests that mention others.
    """

    def __init__(
        self, files: JobFiles, requests: Mapping[str, ProcessRequest], mentioning: Iterable[str]
    ) -> None:
        self._files = files
        self._requests = requests
        self._mentioning = set(mentioning)

    def updated(
        self, altered: Mapping[str, RequestFile | None], incumbents: Mapping[str, str], folder: Path
    ) -> Catalog | None:
        """Return the catalog with the altered files; None if it needs a full merge.

        `altered` maps each path to what the file held at the last merge. After None, this
        object must not be used again.
        """
        files = self._files
        if files.bad or files.troubles or files.defaults.problems:
            return None
        former = [each for file in altered.values() if file for each in file.candidates]
        gone = {each.name for each in former}
        new: dict[str, Candidate] = {}
        for relative in altered.keys() & files.by_path.keys():
            for each in files.by_path[relative].candidates:
                name = each.name
                if name in new or (name in self._requests and name not in gone):
                    return None  # two claim the name
                new[name] = each
        before, self._requests = self._requests, self._requests_with(new, gone)
        self._mentioning -= gone
        self._mentioning |= {name for name, each in new.items() if each.mentions}
        if self._are_references_broken(incumbents):
            return None
        return Catalog(
            folder=folder,
            requests=self._requests,
            files=len(files.by_path),
            former=before,
            altered=gone | new.keys(),
        )

    def _requests_with(
        self, new: Mapping[str, Candidate], gone: set[str]
    ) -> dict[str, ProcessRequest]:
        requests = dict(self._requests)
        for name in gone - new.keys():
            del requests[name]
        requests.update((name, each.request) for name, each in new.items())
        return requests

    def _are_references_broken(self, incumbents: Mapping[str, str]) -> bool:
        chosen = _Chosen(self._files, self._requests)
        mentioning = sorted(
            map(chosen.__getitem__, self._mentioning),
            key=lambda each: (each.request.source.file, each.request.source.line),
        )
        problems = broken_references(chosen, frozenset(), incumbents, mentioning=mentioning)
        return any(True for _ in problems)


class _Chosen(Mapping[str, Candidate]):
    """Maps each request to its candidate, without a copy of them."""

    def __init__(self, files: JobFiles, requests: Mapping[str, ProcessRequest]) -> None:
        self._files = files
        self._requests = requests

    def __getitem__(self, name: str) -> Candidate:
        file = self._files.by_path[self._requests[name].source.file]
        return next(each for each in file.candidates if each.name == name)

    def __contains__(self, name: object) -> bool:
        return name in self._requests

    def __iter__(self) -> Iterator[str]:
        return iter(self._requests)

    def __len__(self) -> int:
        return len(self._requests)
