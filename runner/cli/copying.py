"""An execution's output file on its way to stdout, while it grows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from runner.execution.output import member_output_paths, open_to_read


class GroupCopier:
    """Copies the outputs of a group's members, each after the one before it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._copiers: dict[Path, Copier] = {}

    def copy(self) -> None:
        """Copy what came since the last call."""
        for path in member_output_paths(self._path):
            self._copiers.setdefault(path, Copier(path)).copy()


class Copier:
    """Copies what is new in a file to stdout at each call, bytes as they are; the file may come later.

    If its process puts something else in its place, that is not copied.

    When nobody reads stdout any more it falls silent: what runs goes on.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._is_silent = False

    def copy(self) -> None:
        """Copy what came since the last call."""
        if self._is_silent:
            return
        try:
            output = open_to_read(self._path)
        except OSError:
            return
        with output:
            output.seek(self._position)
            while chunk := output.read(65536):
                self._write(chunk)
            self._position = output.tell()

    def _write(self, chunk: bytes) -> None:
        try:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            self._is_silent = True
            # Python flushes stdout once more at exit, and would complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
