"""A long output in pages. Reads an output file.

Page k begins at the first line's start in the last 4 KiB before k pages of bytes, or there,
if the line is longer. So each byte is on exactly one page, and lines are whole.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO

PAGE_BYTES = 128 * 1024
_LOOK_BACK = 4096
_MOST_CONTINUATION = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPage:
    """One page of an output. Pages count from 1."""

    text: str
    number: int
    count: int
    total_bytes: int


def output_page(file: BinaryIO, number: int | None) -> OutputPage:
    """Return a page of an open output file: the last one for None, or for a number too high."""
    size = os.fstat(file.fileno()).st_size
    count = max(-(-size // PAGE_BYTES), 1)
    shown = min(max(number or count, 1), count)
    begin = _boundary(file, shown - 1, size)
    end = size if shown == count else _boundary(file, shown, size)
    file.seek(begin)
    text = file.read(end - begin).decode("utf-8", "replace")
    return OutputPage(text=text, number=shown, count=count, total_bytes=size)


def _boundary(file: BinaryIO, page: int, size: int) -> int:
    """Return where a page begins: after a newline, or at least not inside a character."""
    at = page * PAGE_BYTES
    if page <= 0 or at >= size:
        return min(max(at, 0), size)
    file.seek(at - _LOOK_BACK)
    before = file.read(_LOOK_BACK)
    newline = before.rfind(b"\n")
    if newline >= 0:
        return at - _LOOK_BACK + newline + 1
    following = file.read(_MOST_CONTINUATION)
    cut = next((n for n, byte in enumerate(following) if byte & 0xC0 != 0x80), 0)
    return at + cut
