"""A long output in pages. Reads an output file.

Page k begins at the first line's start in the last 4 KiB before k pages of bytes, or there,
if the line is longer. So each byte is on exactly one page, and lines are whole. A colour
that was set on an earlier page goes on.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import BinaryIO

PAGE_BYTES = 128 * 1024
_LOOK_BACK = 4096
_MOST_CONTINUATION = 3
_STYLES = re.compile(rb"\x1b\[[0-9;:]*m")
_RESET = re.compile(rb"\x1b\[0*(?:[;:][0-9;:]*)?m")
_FARTHEST = 32 * PAGE_BYTES
"""How far before a page a colour is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPage:
    """One page of an output. Pages count from 1."""

    text: str
    styles: str
    """The control codes before the page that set its first colour."""
    number: int
    count: int
    total_bytes: int


def output_page(file: BinaryIO, number: int | None) -> OutputPage:
    """Return a page of an open output file: the last one for None, or for a number too high."""
    size = file.seek(0, os.SEEK_END)
    count = max(-(-size // PAGE_BYTES), 1)
    shown = min(max(number or count, 1), count)
    begin = _boundary(file, shown - 1, size)
    end = size if shown == count else _boundary(file, shown, size)
    file.seek(begin)
    text = file.read(end - begin).decode("utf-8", "replace")
    styles = _styles_before(file, begin)
    return OutputPage(text=text, styles=styles, number=shown, count=count, total_bytes=size)


def _styles_before(file: BinaryIO, end: int) -> str:
    """Return the codes for colours in front of a place, from the last one on that ends all."""
    found: list[bytes] = []
    farthest = max(end - _FARTHEST, 0)
    while end > farthest:
        begin = max(end - PAGE_BYTES, farthest)
        file.seek(begin)
        codes = _STYLES.findall(file.read(end - begin))
        found[:0] = codes
        if any(map(_RESET.fullmatch, codes)):
            break
        end = begin
    resets = [at for at, code in enumerate(found) if _RESET.fullmatch(code)]
    return b"".join(found[resets[-1] if resets else 0 :]).decode()


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
