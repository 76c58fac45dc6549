"""Which bytes of an output a request asks for (RFC 9110, 14). Pure."""

from __future__ import annotations

import re

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class UnsatisfiableError(ValueError):
    """The output ends before the range begins."""


def part_of(header: str | None, size: int) -> tuple[int, int] | None:
    """Return where the part begins and ends (exclusive); None for the whole output.

    Several ranges at once, and what is no range, count as the whole. Raises
    UnsatisfiableError.

    >>> part_of("bytes=10-19", 100), part_of("bytes=-5", 100), part_of("bytes=90-", 100)
    ((10, 20), (95, 100), (90, 100))
    """
    match = _RANGE.fullmatch(header or "")
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        begin, end = max(size - int(last), 0), size
    else:
        begin, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < begin:
            return None
    if begin >= end:
        raise UnsatisfiableError
    return begin, end
