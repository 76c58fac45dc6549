"""A log file read by blocks, forwards and from its end, in constant memory. Reads files.

Blocks are searched for the bytes that a wanted record must hold before anything is
parsed: of a million records the newest of a kind are found in milliseconds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from runner.errors import RunnerError
from runner.monitor.records import decode
from runner.monitor.recovery import lines_of
from runner.system.regular_files import open_regular

_BLOCK = 256 * 1024  # several times the longest record
_LONGEST_GARBAGE = 256 << 20
"""Bytes without the end of a line after which the rest of a file is taken for no log at all."""
_NO_RECORD = b"\0\n"
_STEP_BACK = b'"reopened_from":"'  # of a step back alone it is no null

Needles = Sequence[Sequence[bytes]]  # of each group one must be there


class LogFile:
    """A log opened for reading. `end` is where its last whole line ended when it was opened."""

    def __init__(self, path: Path) -> None:
        self._file = open(open_regular(path), "rb", buffering=0)  # noqa: SIM115, PTH123 - a descriptor
        self.end = self._end_of_lines()

    @classmethod
    def open(cls, path: Path) -> LogFile | None:
        """Open a log; None if there is none. Raises RunnerError if it cannot be read."""
        try:
            return cls(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunnerError(f"the monitor log {path} cannot be read: {error.strerror}") from error

    def close(self) -> None:
        self._file.close()

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes between two places; fewer where the file ends before."""
        return os.pread(self._file.fileno(), end - start, start)

    def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def is_same(self, other: LogFile) -> bool:
        """Tell whether both are one file, under whatever names."""
        return os.path.sameopenfile(self._file.fileno(), other._file.fileno())

    def has_successor(self, path: Path) -> bool:
        """Tell whether another file has the log's name by now."""
        try:
            return not os.path.samestat(path.stat(), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def _end_of_lines(self) -> int:
        end = size = self.size()
        while end > max(0, size - _LONGEST_GARBAGE):
            start = max(0, end - _BLOCK)
            if (cut := self.read(start, end).rfind(b"\n")) >= 0:
                return start + cut + 1
            end = start
        return 0


def quoted(text: str) -> bytes:
    """Return a string as it stands in a record."""
    return json.dumps(text, ensure_ascii=False).encode(errors="replace")


def backwards(
    files: Iterable[LogFile], needles: Needles, *, since: str = ""
) -> Iterator[dict[str, object]]:
    """Yield the records that hold the needles, the newest first; end with the block
    that begins before `since`.

    Once the clock went back, all is read: what was written before may have later times.
    """
    for file in files:
        for block in _blocks(file):
            if since and _STEP_BACK in block:
                since = ""
            if _holds(block, needles):
                for line in reversed(block.split(b"\n")):
                    if _holds(line, needles) and (record := decode(line)) is not None:
                        yield record
            if since and _time(block) < since:
                return


def lines_from(file: LogFile, position: int) -> tuple[list[bytes], int]:
    """Return the whole lines of a block from `position` on, and where the next begin. A
    line longer than a block is no record, and skipped in parts.
    """
    block = file.read(position, position + _BLOCK)
    cut = block.rfind(b"\n") + 1
    if not cut and len(block) == _BLOCK:
        return [_NO_RECORD], position + _BLOCK
    return lines_of(block[:cut]), position + cut


def _blocks(file: LogFile) -> Iterator[bytes]:
    """Yield the file's lines from its end, as blocks of whole lines; what is longer
    than a block is left out.

    What lies before a long stretch without any line is not looked for: a sparse file
    may have terabytes of that.
    """
    rest, end = b"", file.end
    garbage = 0
    while end > 0 and garbage < _LONGEST_GARBAGE:
        start = max(0, end - _BLOCK)
        block = file.read(start, end) + rest
        end = start
        if start:
            head, newline, block = block.partition(b"\n")
            rest = head + newline if len(head) < _BLOCK else _NO_RECORD
        garbage = 0 if block else garbage + _BLOCK
        yield block


def _holds(text: bytes, needles: Needles) -> bool:
    """Tell whether one of each group is there. Asked of every line of a block:
    generators would take twice the time.
    """
    for group in needles:
        for needle in group:
            if needle in text:
                break
        else:
            return False
    return True


def _time(block: bytes) -> str:
    """Return the time of the first record of a block; a text after every time if there is none."""
    record = decode(block[: block.find(b"\n") + 1]) or {}
    return str(record.get("time", "~"))
