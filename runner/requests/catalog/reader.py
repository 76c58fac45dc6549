"""Reads a jobs folder again and again, as a catalog. Reads files.

`CatalogReader.scan` is a generator: its owner runs it in slices, and no slice grows
with the folder.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from runner.requests.catalog.catalog import Catalog
from runner.requests.catalog.merging import Merging
from runner.requests.catalog.remembered_files import Notes, notes_in, recollected, written
from runner.requests.catalog.scan import JobFiles
from runner.requests.model import ProcessRequest
from runner.system.garbage_collection import unswept
from runner.values import neutral

_Whole = TypeVar("_Whole")


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
            *(file.reads for file in self._files.by_path.values())
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
        return written(self._files.by_path, root=self._root, zone=self._default_zone)

    def scan(self, incumbents: Mapping[str, str]) -> Generator[None, None, Catalog]:
        """Read the folder in slices, one `yield` per opened file, and return the catalog.

        `incumbents` maps request names to the files that supply them now: of two
        documents with one name, that file's document wins. A file that changes during
        the scan is read again, so that the catalog shows one moment.
        """
        yield from self._files.refresh()
        if self._files.absence is not None:
            return Catalog(folder=self._folder, absence=self._files.absence)
        return (yield from Merging(self._files, incumbents, self._display).catalog(self._folder))

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
