"""Keeps what was read of the jobs folder, so that the next start skips unchanged files.

Touches one file in the state folder. If it is missing or unusable, the start is only
slower.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from runner.requests.catalog.reader import CatalogReader
from runner.requests.catalog.remembered_files import Notes
from runner.system.regular_files import read_regular

_LARGEST = 128 << 20
"""How many bytes are read at most: enough for some 200,000 files."""


class CatalogCache:
    """The cache of one state folder."""

    def __init__(self, state: Path) -> None:
        self._path = state / "catalog.json"

    def notes(self, reader: CatalogReader) -> Notes:
        """Return what was kept for the folder of a reader."""
        with suppress(OSError):
            return reader.notes_in(read_regular(self._path, at_most=_LARGEST))
        return {}

    def keep(self, reader: CatalogReader) -> None:
        """Keep what a reader knows, if that is new.

        If the file cannot be written, the next start reads all files again.
        """
        if not reader.is_news:
            return
        new = self._path.with_name(f"{self._path.name}.new")
        with suppress(OSError):
            # Remove it, whatever it is: opening a FIFO would wait for its other end.
            new.unlink(missing_ok=True)
            with open(  # noqa: PTH123
                os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
            ) as file:
                file.write(reader.written().encode("ascii"))
            new.replace(self._path)
