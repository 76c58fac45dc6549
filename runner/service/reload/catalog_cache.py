"""Keeps in the state folder what was read of the jobs folder, so that unchanged files
are not read at the next start.

Touches one file. Without it, or with one that cannot be used, all is the same, only later.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from runner.requests.catalog.reader import CatalogReader
from runner.requests.catalog.remembered_files import Notes
from runner.system.regular_files import read_regular

_LARGEST = 128 << 20
"""Bytes of it that are read: enough for some 200,000 files."""


class CatalogCache:
    """The cache of one state folder."""

    def __init__(self, state: Path) -> None:
        self._path = state / "catalog.json"

    def notes(self, reader: CatalogReader) -> Notes:
        """Return what was kept of the folder of a reader."""
        with suppress(OSError):
            return reader.notes_in(read_regular(self._path, at_most=_LARGEST))
        return {}

    def keep(self, reader: CatalogReader) -> None:
        """Keep what a reader knows, if that is news. Where it cannot be written, files
        are read again, no more.
        """
        if not reader.is_news:
            return
        new = self._path.with_name(f"{self._path.name}.new")
        with suppress(OSError):
            new.unlink(
                missing_ok=True
            )  # whatever it is: to open a FIFO would wait for its other end
            with open(  # noqa: PTH123
                os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
            ) as file:
                file.write(reader.written().encode("ascii"))
            new.replace(self._path)
