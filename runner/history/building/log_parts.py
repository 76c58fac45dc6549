"""The files of a monitor log: the current one, and what rotations made of former ones.

Names tell their order: `NAME.1` is newer than `NAME.2.gz`, and `NAME-20261130` newer than
`NAME-20261129`. The first line identifies a file under any name, because it has the id of a
record. Reads files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

from runner.history.building.contents import COMPRESSIONS, Content
from runner.monitor.trimming import LIMIT

_SPACING = 16
"""Numbers of files that follow one another differ by this, so that one fits in between."""
_ROTATION = re.compile(r"[-._]?(\d[\d._-]*)")
_MOST_COUNT = 10_000  # a larger number in a name is a date
Signature = tuple[int, int, int, int]
"""Device, inode, size, and mtime in nanoseconds. Unlike ctime, they survive a rename."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """A file of the log. `head` is the digest of its first line."""

    path: Path
    signature: Signature
    head: bytes

    @property
    def is_compressed(self) -> bool:
        """Whether the file has to be decompressed."""
        return self.path.suffix in COMPRESSIONS


def parts_of(log: Path, known: dict[Path, LogPart]) -> dict[Path, LogPart]:
    """Return the files of a log that have a whole line, the oldest first.

    `known` are those of the last call: what has not changed is not read again. A file that
    cannot be read counts as missing. Of two files with the same first line, one is a copy
    of the other; the compressed or shorter one is left out.
    """
    found = {part.path: part for part in _readable(log, known)}
    best: dict[bytes, LogPart] = {}
    for part in found.values():
        other = best.get(part.head)
        if other is None or _worth(part) > _worth(other):
            best[part.head] = part
    return {path: part for path, part in found.items() if best[part.head] is part}


def numbers_for(
    heads: Sequence[bytes], known: Mapping[bytes, int], taken: Collection[int] = ()
) -> dict[bytes, int] | None:
    """Return a number for each file, ascending from the oldest on; `known` ones keep theirs.

    No file gets one of the `taken` numbers. Return None if the known files have another
    order now, or if no number is left between two of them.

    >>> numbers_for([b"old", b"a", b"b", b"new"], {b"a": 0, b"b": 16})
    {b'old': -16, b'a': 0, b'b': 16, b'new': 32}
    """
    places = [at for at, head in enumerate(heads) if head in known]
    if not places:
        first = max(taken, default=-_SPACING) + _SPACING
        return {head: first + at * _SPACING for at, head in enumerate(heads)}
    lowest, highest = min((*taken, *known.values())), max((*taken, *known.values()))
    found = {head: known[head] for head in heads if head in known}
    for count, head in enumerate(reversed(heads[: places[0]]), 1):
        found[head] = lowest - count * _SPACING
    for count, head in enumerate(heads[places[-1] + 1 :], 1):
        found[head] = highest + count * _SPACING
    for at in range(places[0], places[-1]):
        if heads[at] not in known:
            above = next(known[each] for each in heads[at:] if each in known)
            found[heads[at]] = (found[heads[at - 1]] + above) // 2
    numbers = [found[head] for head in heads]
    is_ascending = all(older < newer for older, newer in pairwise(numbers))
    new = {found[head] for head in heads if head not in known}
    return (
        dict(zip(heads, numbers, strict=True)) if is_ascending and new.isdisjoint(taken) else None
    )


def head_of(path: Path) -> bytes | None:
    """Return the digest of a file's first line; None without a whole line. Raises OSError."""
    content = Content(path)
    try:
        begin = content.read(LIMIT)
    finally:
        content.close()
    line, newline, _ = begin.partition(b"\n")
    is_whole = newline or len(begin) == LIMIT
    return blake2b(line, digest_size=16).digest() if is_whole else None


def signature_of(status: os.stat_result) -> Signature:
    """Return the signature of a file."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _readable(log: Path, known: dict[Path, LogPart]) -> Iterator[LogPart]:
    for path in _candidates(log):
        with suppress(OSError):
            signature = signature_of(path.stat())
            part = known.get(path)
            if part is not None and part.signature == signature:
                yield part
            elif (head := head_of(path)) is not None:
                yield LogPart(path=path, signature=signature, head=head)


def _candidates(log: Path) -> list[Path]:
    """Return the paths of the log's files. A rotation that renames meanwhile is waited for."""
    listed, found = None, _listed(log)
    while listed != found:
        listed, found = found, _listed(log)
    return found


def _listed(log: Path) -> list[Path]:
    try:
        with os.scandir(log.parent) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(log.stem)]
    except OSError:
        return []
    aged = ((_age(log, log.parent / name), log.parent / name) for name in names)
    return [path for _, path in sorted((age, path) for age, path in aged if age is not None)]


def _age(log: Path, path: Path) -> tuple[int, tuple[int, ...]] | None:
    """Return a key that sorts the log's files by age; None for a file that is none of them."""
    if path.name == log.name:
        return 2, ()
    name = path.name.removesuffix(path.suffix) if path.suffix in COMPRESSIONS else path.name
    rest = name.removeprefix(log.name)
    if rest == name:  # logrotate's `extension` moves the date before the suffix
        rest = name.removeprefix(log.stem).removesuffix(log.suffix)
    match = _ROTATION.fullmatch(rest)
    if match is None:
        return None
    numbers = tuple(map(int, re.findall(r"\d+", match[1])))
    is_count = len(numbers) == 1 and numbers[0] < _MOST_COUNT
    return (1, (-numbers[0],)) if is_count else (0, numbers)


def _worth(part: LogPart) -> tuple[bool, int]:
    return not part.is_compressed, part.signature[2]
