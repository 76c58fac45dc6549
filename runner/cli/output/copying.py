"""Copies an execution's output file to stdout while it grows."""

from __future__ import annotations

import codecs
import io
import os
import sys
from pathlib import Path

from runner.cli.output.tables import echo, neutral_lines
from runner.execution.output import member_output_paths, open_to_read


class GroupCopier:
    """Copies the outputs of a group's members, one after another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._copiers: dict[Path, Copier] = {}
        self._is_unreadable = False

    @property
    def is_abandoned(self) -> bool:
        """Whether the reader of stdout is gone."""
        return any(copier.is_abandoned for copier in self._copiers.values())

    def copy(self) -> None:
        """Copy the bytes added since the last call."""
        if self._is_unreadable:
            return
        try:
            paths = member_output_paths(self._path)
        except PermissionError as error:
            self._is_unreadable = True
            _report(self._path.parent, error)
            return
        for path in paths:
            self._copiers.setdefault(path, Copier(path)).copy()


class Copier:
    """Copies the new bytes of a file to stdout at each call. The file may not exist
    yet.

    A pipe or a file receives the bytes unchanged. A terminal receives text whose
    control characters are escaped, because they could otherwise control the terminal of
    the person who reads it.

    A link or special file that the process puts in the output's place is not copied. A
    file without read permission is reported once. When the reader of stdout is gone,
    copying stops and the execution continues.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._is_unreadable = False
        self.is_abandoned = False
        self._decoder = _terminal_decoder() if sys.stdout.isatty() else None

    def copy(self) -> None:
        """Copy the bytes added since the last call."""
        if self.is_abandoned or self._is_unreadable:
            return
        try:
            output = open_to_read(self._path)
        except PermissionError as error:
            self._is_unreadable = True
            _report(self._path, error)
            return
        except OSError:  # not there yet, pruned, or replaced by its process
            return
        with output:
            output.seek(self._position)
            while chunk := output.read(65536):
                self._write(chunk)
            self._position = output.tell()

    def _write(self, chunk: bytes) -> None:
        try:
            sys.stdout.buffer.write(
                chunk if self._decoder is None else _neutral(self._decoder.decode(chunk))
            )
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            self.is_abandoned = True
            # Python flushes stdout again at exit and would print an error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(path: Path, error: OSError) -> None:
    echo(f"runner: the output {path} cannot be read: {error.strerror}", err=True)


def _terminal_decoder() -> io.IncrementalNewlineDecoder:
    """Return an incremental UTF-8 decoder that turns every kind of newline, also a lone
    CR, into LF.
    """
    return io.IncrementalNewlineDecoder(
        codecs.getincrementaldecoder("utf-8")("replace"), translate=True
    )


def _neutral(text: str) -> bytes:
    return neutral_lines(text).encode(sys.stdout.encoding, "backslashreplace")
