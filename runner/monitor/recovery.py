"""Compares a batch with a log file and returns what the file still lacks. Pure.

Every record has a unique id. So a line in the file that equals a line of the batch is
that line; two different records never have the same bytes. Recovery needs no other
marker in the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The result of searching a part of a file.

    `lines` are the lines of the batch that the file has in full. `tail` holds the bytes
    after the file's last newline: a torn line, or b"".
    """

    lines: frozenset[bytes]
    tail: bytes


def lines_of(batch: bytes) -> list[bytes]:
    r"""Split a batch into lines, each with its newline. Only "\n" ends a line.

    `bytes.splitlines` would also split at "\r", which a foreign line may contain.

    >>> lines_of(b'{"a":1}\n{"b":2}\n')
    [b'{"a":1}\n', b'{"b":2}\n']
    """
    return [line + b"\n" for line in batch.split(b"\n")[:-1]]


def found_in(lines: Iterable[bytes], batch: Iterable[bytes]) -> Found:
    """Search the lines of a file for the lines of a batch. The last one may be torn."""
    wanted, found, line = set(batch), set(), b""
    for line in lines:
        if line in wanted:
            found.add(line)
    return Found(lines=frozenset(found), tail=b"" if line.endswith(b"\n") else line)


def missing_suffix(tail: bytes, missing: list[bytes]) -> bytes:
    """Return the bytes that complete a file's torn last line to the first missing line.

    Return b"" if the file has no torn line, or if another program wrote it.
    """
    # A write is sequential, so a crash or a full disk can only cut a batch once. The
    # torn line is therefore the first missing one, never a later one.
    is_ours = tail and missing and missing[0].startswith(tail)
    return missing[0][len(tail) :] if is_ours else b""
