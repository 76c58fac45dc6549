"""What a log that broke off in the middle of a batch still lacks. Pure.

Records bear unique ids, so a line that is equal to one of ours is ours: that is how a
batch is found again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a look at a part of a file found: whole lines of the batch, and the bytes
    behind the last newline.
    """

    lines: frozenset[bytes]
    tail: bytes


def lines_of(batch: bytes) -> list[bytes]:
    r"""Return the lines, each with its newline. Only "\n" ends a line.

    >>> lines_of(b'{"a":1}\n{"b":2}\n')
    [b'{"a":1}\n', b'{"b":2}\n']
    """
    return [line + b"\n" for line in batch.split(b"\n")[:-1]]


def found_in(lines: Iterable[bytes], batch: Iterable[bytes]) -> Found:
    """Look for the lines of a batch among the lines of a file, the last of which may be incomplete."""
    wanted, found, line = set(batch), set(), b""
    for line in lines:
        if line in wanted:
            found.add(line)
    return Found(lines=frozenset(found), tail=b"" if line.endswith(b"\n") else line)


def missing_suffix(tail: bytes, missing: list[bytes]) -> bytes:
    """Return what completes the torn line at the end of a file to the first of the missing lines.

    Empty if nothing is torn there, or what stands there is somebody else's.
    """
    is_ours = tail and missing and missing[0].startswith(tail)
    return missing[0][len(tail) :] if is_ours else b""
