"""Keeps in the state folder what was read of the jobs folder, so that unchanged files are not read at the next start.

Touches one file. Without it, or with one that cannot be used, all is the same, only later.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from runner.requests.catalog import CatalogReader
from runner.requests.recollection import Notes


class CatalogCache:
    """The cache of one state folder."""

    def __init__(self, state: Path) -> None:
        self._path = state / "catalog.json"

    def notes(self, reader: CatalogReader) -> Notes:
        """Return what was kept of the folder of a reader."""
        with suppress(OSError):
            return reader.notes_in(self._path.read_bytes())
        return {}

    def keep(self, reader: CatalogReader) -> None:
        """Keep what a reader knows, if that is news. Where it cannot be written, files are read again, no more."""
        if not reader.is_news:
            return
        new = self._path.with_name(f"{self._path.name}.new")
        with suppress(OSError):
            new.touch(mode=0o600)
            new.write_text(reader.written(), encoding="ascii")
            new.replace(self._path)
