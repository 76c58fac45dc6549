"""Copies an execution's output file to stdout while it grows."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from runner.access.outputs import members_with_output, open_stored
from runner.access.places import Places
from runner.cli.output.tables import echo, neutral_lines
from runner.execution.output import member_output_paths, open_to_read

Output = TypeVar("Output", bound=str | Path)
"""What an output is called: its path, or its execution in a fleet's store."""


class GroupCopier(Generic[Output]):
    """Copies the outputs of a group's members, one after another."""

    def __init__(
        self, members: Callable[[], Sequence[Output]], opening: Callable[[Output], BinaryIO]
    ) -> None:
        """`members` returns the outputs so far, in order. It raises OSError."""
        self._members = members
        self._opening = opening
        self._copiers: dict[Output, Copier[Output]] = {}
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
            outputs = self._members()
        except PermissionError as error:
            self._is_unreadable = True
            _report(error.filename, error)
            return
        for output in outputs:
            self._copiers.setdefault(output, Copier(output, self._opening)).copy()


class Copier(Generic[Output]):
    """Copies the new bytes of a file to stdout at each call. The file may not exist
    yet.

    A pipe or a file receives the bytes unchanged. A terminal receives text whose
    control characters are escaped, because they could otherwise control the terminal of
    the person who reads it.

    A link or special file that the process puts in the output's place is not copied. A
    file without read permission is reported once. When the reader of stdout is gone,
    copying stops and the execution continues.
    """

    def __init__(self, output: Output, opening: Callable[[Output], BinaryIO]) -> None:
        self._output = output
        self._opening = opening
        self._position = 0
        self._is_unreadable = False
        self.is_abandoned = False
        self._decoder = _terminal_decoder() if sys.stdout.isatty() else None

    def copy(self) -> None:
        """Copy the bytes added since the last call."""
        if self.is_abandoned or self._is_unreadable:
            return
        try:
            output = self._opening(self._output)
        except PermissionError as error:
            self._is_unreadable = True
            _report(self._output, error)
            return
        except OSError:  # not there yet, pruned, or replaced by its process
            return
        with output:
            output.seek(self._position)
            while chunk := output.read(65536):
                self._write(chunk)
                # At once: the database of a fleet may fail before the next one.
                self._position += len(chunk)

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


AnyCopier = Copier[Path] | GroupCopier[Path] | Copier[str] | GroupCopier[str]


def file_copier(path: Path, *, is_group: bool = False) -> Copier[Path] | GroupCopier[Path]:
    """Return the copier of an output file, or of the files of a group's members."""
    if is_group:
        return GroupCopier(partial(member_output_paths, path), open_to_read)
    return Copier(path, open_to_read)


def stored_copier(
    places: Places, execution: str, *, is_group: bool
) -> Copier[str] | GroupCopier[str]:
    """Return the copier of an output that workers send to the store."""
    opening = partial(open_stored, places)
    if is_group:
        return GroupCopier(partial(members_with_output, places, execution), opening)
    return Copier(execution, opening)


def _report(output: object, error: OSError) -> None:
    echo(f"runner: the output {output} cannot be read: {error.strerror}", err=True)


def _terminal_decoder() -> io.IncrementalNewlineDecoder:
    """Return an incremental UTF-8 decoder that turns every kind of newline, also a lone
    CR, into LF.
    """
    return io.IncrementalNewlineDecoder(
        codecs.getincrementaldecoder("utf-8")("replace"), translate=True
    )


def _neutral(text: str) -> bytes:
    return neutral_lines(text).encode(sys.stdout.encoding, "backslashreplace")
