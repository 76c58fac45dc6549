"""Reads the content of a log file, plain or compressed, from any offset on. Reads files."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from runner.system.regular_files import open_regular

CHUNK = 4 << 20
_OPENERS: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
COMPRESSIONS = frozenset(_OPENERS)
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


class Content:
    """The decompressed content of a log file, read forwards."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, for anything but a regular file too."""
        self._raw = open(open_regular(path), "rb")  # noqa: SIM115, PTH123 - a descriptor
        opener = _OPENERS.get(path.suffix)
        self._file: IO[bytes] = opener(self._raw) if opener else self._raw
        self.is_compressed = opener is not None
        self.position = 0

    def read(self, at_most: int = CHUNK) -> bytes:
        """Return the next bytes; b"" at the end, or where a compressed file is damaged."""
        try:
            found = self._file.read(at_most)
        except _DAMAGED:
            return b""
        except OSError as error:
            if error.errno is not None:
                raise
            return b""  # bz2 reports damage so
        self.position += len(found)
        return found

    def skip(self, count: int, crc: int = 0) -> int | None:
        """Skip bytes and return their checksum; None if the content ends before."""
        while count:
            if not (found := self.read(min(count, CHUNK))):
                return None
            crc, count = zlib.crc32(found, crc), count - len(found)
        return crc

    def seek(self, position: int) -> None:
        """Go to an offset of a file that is not compressed."""
        self.position = self._file.seek(position)

    def status(self) -> os.stat_result:
        """Return the status of the file that is open."""
        return os.fstat(self._raw.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._raw.close()
