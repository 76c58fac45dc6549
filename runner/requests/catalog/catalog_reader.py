"""Reads a jobs folder again and again, as a catalog. Reads files.

`CatalogReader.scan` is a generator: its owner runs it in slices, and no slice grows
with the folder.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from runner.requests.catalog.cache_file import CacheFile
from runner.requests.catalog.cache_text import cache_text, origin_of, root_in
from runner.requests.catalog.cached_requests import Recalled, by_name
from runner.requests.catalog.catalog import Catalog
from runner.requests.catalog.folder.changed_paths import ChangedPaths
from runner.requests.catalog.merging import Merging
from runner.requests.catalog.plain_merge import PlainMerge
from runner.requests.catalog.scan import JobFiles
from runner.requests.catalog.validated_files import validated_in
from runner.requests.model import ProcessRequest
from runner.system.garbage_collection import collection_disabled
from runner.values import neutral

_Whole = TypeVar("_Whole")


class CatalogReader:
    """Reads a folder repeatedly; unchanged files are read once.

    With `is_guarded`, a file or folder that another user may change is rejected: root
    must not run its content. `cache` is what this reader and others kept of the folder.
    With `builds_late`, a request of the cache is built when it is needed whole, if nothing
    can be wrong with it since it was kept.
    """

    def __init__(
        self,
        folder: Path,
        *,
        default_zone: str,
        is_guarded: bool = False,
        cache: CacheFile | None = None,
        builds_late: bool = False,
    ) -> None:
        self._folder = folder
        self._cache = cache
        self._default_zone = default_zone
        self._builds_late = builds_late
        self._is_anothers = False
        self._plain: PlainMerge | None = None
        self._root = str(folder.absolute())
        self._display_prefix = "" if folder == Path() else f"{folder}/"
        self._files = JobFiles(
            folder, display=self._display, default_zone=default_zone, is_guarded=is_guarded
        )

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

    def recall(self) -> Recalled:
        """Take from the cache, before the first scan, what others read of this folder.

        Return the definitions that this version of the program found valid.
        """
        if self._cache is None:
            return {}
        content = self._cache.read()
        self._is_anothers = root_in(content) not in (None, self._root)
        self._files.validated = validated_in(content, origin_of(self._root))
        if self._builds_late:
            self._files.validated.build_late(self._default_zone)
        return self._files.validated.definitions

    def reuse(self, requests: Mapping[str, ProcessRequest]) -> None:
        """Use requests built for the store instead of building those of the cache again."""
        self._files.validated.reuse(requests)

    def keep(self, *, is_sparing: bool = False) -> None:
        """Write the cache, if valid files were read or disappeared since it was read.

        With `is_sparing`, leave the cache of another folder as it is.
        """
        if is_sparing and self._is_anothers:
            return
        if self._cache is not None and self._files.is_news:
            self._files.is_news = False
            text = cache_text(self._files.by_path, origin_of(self._root), zone=self._default_zone)
            self._cache.write(text)

    def scan(
        self, incumbents: Mapping[str, str], changed: ChangedPaths | None = None
    ) -> Generator[None, None, Catalog]:
        """Read the folder in slices, one `yield` per opened file, and return the catalog.

        `incumbents` maps request names to the files that supply them now: of two
        documents with one name, that file's document wins. A file that changes during
        the scan is read again, so that the catalog shows one moment. With `changed`, look
        only at these paths if that is enough; otherwise walk the folder.
        """
        yield from self._files.refresh(changed)
        if self._files.absence is not None:
            return Catalog(folder=self._folder, absence=self._files.absence)
        altered, plain, self._plain = self._files.take_altered(), self._plain, None
        if plain is not None and altered is not None:
            catalog = plain.updated(altered, incumbents, self._folder)
            if catalog is not None:
                self._plain = plain
                return catalog
        merging = Merging(self._files, incumbents, self._display)
        catalog = yield from merging.catalog(self._folder)
        self._plain = merging.plain
        return catalog

    def read(self, incumbents: Mapping[str, str] | None = None) -> Catalog:
        """Scan in one go; the requests are sorted by name."""
        with collection_disabled():
            catalog = exhausted(self.scan(incumbents or {}))
        return replace(catalog, requests=by_name(catalog.requests))

    def glance(self, changed: ChangedPaths | None = None) -> Generator[None, None, bool]:
        """Read changed files in slices, so that the next scan has little left to read.

        `changed` is as for `scan`. The generator returns whether any file had changed.
        """
        return self._files.glance(changed)

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
