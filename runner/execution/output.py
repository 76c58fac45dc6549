"""Output files of executions: their place, their tail, their pruning. Touches files."""

from __future__ import annotations

import errno
import glob
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

_SLICE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The end of an output, at most 4 KiB when encoded as UTF-8, begun at a line's
    begin where that is possible.
    """

    text: str
    total_bytes: int
    truncated: bool


_NOTHING = Tail(text="", total_bytes=0, truncated=False)


def outputs_folder(state: Path) -> Path:
    """Return the folder, inside a state folder, that holds a file with the whole output
    of each execution.
    """
    return state / "outputs"


def output_path(folder: Path, execution: str) -> Path:
    """Return the place of an execution's output below the outputs folder: two levels,
    so that no folder grows large.

    They come from the end of the id, which is random: a UUIDv7 begins with its time.
    256 folders in all soon exist, so that making them is no part of a start's cost.

    >>> output_path(Path("outputs"), "0190a6e2-0000-7000-8000-0000000000f3").as_posix()
    'outputs/3/f/0190a6e2-0000-7000-8000-0000000000f3.out'
    """
    return folder / execution[-1] / execution[-2] / f"{execution}.out"


def member_output_path(group: Path, *, sequence: int, attempt: int) -> Path:
    """Return the place of a group member's output: beside that of its group, in whose
    file's place nothing is.

    >>> member_output_path(Path("outputs/3/f/0190f3.out"), sequence=2, attempt=1).name
    '0190f3.2-1.out'
    """
    return group.with_name(f"{group.stem}.{sequence}-{attempt}.out")


def member_output_paths(group: Path) -> list[Path]:
    """Return the outputs of a group's members, and of theirs, that are there: in the
    order in which they ran.
    """
    found = group.parent.glob(f"{glob.escape(group.stem)}.*.out")
    return sorted(
        found,
        key=lambda path: [
            int(number) for number in re.findall(r"\d+", path.stem[len(group.stem) :])
        ],
    )


Identity = tuple[int, int]
"""Which file it is, whatever has its name: device and inode."""


def identity_of(descriptor: int) -> Identity:
    """Return the identity of an open file."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def open_to_read(path: str | os.PathLike[str], *, only: Identity | None = None) -> BinaryIO:
    """Open an output file. Raises OSError, also for anything else in its place: a link,
    a FIFO, a folder.

    The process may have put it there, so that we show what it may not read itself, or
    unmasked what it may. `only` is the file that the output was written to, where that
    is known.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    if stat.S_ISREG(os.fstat(descriptor).st_mode) and only in (None, identity_of(descriptor)):
        return open(descriptor, "rb")  # noqa: PTH123  (a descriptor)
    os.close(descriptor)
    raise OSError(errno.EINVAL, "its process has put something else in its place", str(path))


def read_tail(
    path: str | os.PathLike[str], *, limit: int = 4096, only: Identity | None = None
) -> Tail:
    """Read the tail; bytes that are not UTF-8 are replaced, never dropped. `only` as
    for `open_to_read`.

    A file that is missing, or that its own process made unreadable or something else,
    is an empty output.
    """
    try:
        with open_to_read(path, only=only) as file:
            start = max(0, os.fstat(file.fileno()).st_size - limit - 4)
            file.seek(start)
            window = file.read(
                limit + 4
            )  # one more than the limit, however a character is cut (3 bytes at most)
    except OSError:
        return _NOTHING
    whole = _without_cut_character(window) if start else window
    encoded = whole.decode("utf-8", "replace").encode()
    return Tail(
        text=_last_lines(encoded, limit).decode() if len(encoded) > limit else encoded.decode(),
        total_bytes=start + len(window),
        truncated=len(encoded) > limit,
    )


def prune(
    folder: Path,
    *,
    max_age_s: float,
    max_bytes: int,
    max_files: int,
    now_s: float,
    keep: Collection[str] = frozenset(),
) -> Iterator[int]:
    """Remove outputs that are too old, then the oldest of those that are too many or
    too large in sum.

    Works in slices, so that nobody waits for it: each step yields how many files it
    removed. `now_s` is epoch seconds; `keep` are the executions whose output, or whose
    members' output, is still being written: those count and stay.
    """
    rest: list[
        _Output
    ] = []  # a heap, the oldest first: to sort them all at the end would take too long
    total, outputs = 0, _outputs_in(folder)
    while looked_at := list(islice(outputs, _SLICE)):
        old = {
            output
            for output in looked_at
            if now_s - output.written_s > max_age_s and output.execution not in keep
        }
        for output in looked_at:
            if output not in old:
                heappush(rest, output)
                total += output.size
        yield _remove(old)
    while len(rest) > max_files or total > max_bytes:
        spare: list[_Output] = []
        while len(spare) < _SLICE and (len(rest) > max_files or total > max_bytes):
            output = heappop(rest)
            total -= output.size
            if output.execution not in keep:
                spare.append(output)
        yield _remove(spare)


class _Output(NamedTuple):
    written_s: float
    size: int
    path: str

    @property
    def execution(self) -> str:
        """The execution, or the outermost group, that it is the output of."""
        return os.path.basename(self.path).partition(".")[0]  # noqa: PTH119 (there are many)


def _outputs_in(folder: Path) -> Iterator[_Output]:
    """Yield the outputs that can be seen; what cannot be looked at now is left for the next round."""
    for outer in _inner_folders(str(folder)):
        for inner in _inner_folders(outer):
            with suppress(OSError), os.scandir(inner) as entries:
                for entry in entries:
                    if entry.name.endswith(".out"):
                        with suppress(OSError):  # somebody else tidied up
                            status = entry.stat(follow_symlinks=False)
                            yield _Output(status.st_mtime, status.st_size, entry.path)


def _inner_folders(folder: str) -> list[str]:
    with suppress(OSError), os.scandir(folder) as entries:
        return sorted(entry.path for entry in entries if len(entry.name) == 1)
    return []


def _remove(outputs: Iterable[_Output]) -> int:
    removed = 0
    for output in outputs:
        with suppress(
            OSError
        ):  # gone already, or a folder that a process put in its output's place
            os.unlink(output.path)  # noqa: PTH108
            removed += 1
    return removed


def _without_cut_character(window: bytes) -> bytes:
    """Drop the rest of a character whose begin lies before the window: up to three
    bytes of the form 10xxxxxx.
    """
    rest = next((i for i, byte in enumerate(window[:3]) if byte & 0xC0 != 0x80), 3)
    return window[rest:]


def _last_lines(encoded: bytes, limit: int) -> bytes:
    """Return at most `limit` bytes from the end of longer, valid UTF-8: whole lines,
    else whole characters.
    """
    kept = encoded[-limit:]
    if encoded[-limit - 1] == ord("\n"):
        return kept
    _, _, lines = kept.partition(b"\n")
    return lines or _without_cut_character(kept)
