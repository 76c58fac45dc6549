"""Output files of executions: their place, their tail, their pruning. Touches files."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

_SLICE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The end of an output, at most 4 KiB when encoded as UTF-8, begun at a line's begin where that is possible."""

    text: str
    total_bytes: int
    truncated: bool


def outputs_folder(state: Path) -> Path:
    """Return the folder, inside a state folder, that holds a file with the whole output of each execution."""
    return state / "outputs"


def output_path(folder: Path, execution: str) -> Path:
    """Return the place of an execution's output below the outputs folder: two levels, so that no folder grows large.

    They come from the end of the id, which is random: a UUIDv7 begins with its time. 256 folders in all soon exist,
    so that making them is no part of a start's cost.

    >>> output_path(Path("outputs"), "0190a6e2-0000-7000-8000-0000000000f3").as_posix()
    'outputs/3/f/0190a6e2-0000-7000-8000-0000000000f3.out'
    """
    return folder / execution[-1] / execution[-2] / f"{execution}.out"


def member_output_path(group: Path, *, sequence: int, attempt: int) -> Path:
    """Return the place of a group member's output: beside that of its group, in whose file's place nothing is.

    >>> member_output_path(Path("outputs/3/f/0190f3.out"), sequence=2, attempt=1).name
    '0190f3.2-1.out'
    """
    return group.with_name(f"{group.stem}.{sequence}-{attempt}.out")


def member_output_paths(group: Path) -> list[Path]:
    """Return the outputs of a group's members, and of theirs, that are there: in the order in which they ran."""
    found = group.parent.glob(f"{glob.escape(group.stem)}.*.out")
    return sorted(found, key=lambda path: [int(number) for number in re.findall(r"\d+", path.stem[len(group.stem) :])])


def read_tail(path: Path, *, limit: int = 4096) -> Tail:
    """Read the tail; bytes that are not UTF-8 are replaced, never dropped.

    A file that is missing, or that its own process made unreadable, is an empty output.
    """
    try:
        # Not blocking: the process might have put a FIFO there.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
            start = max(0, os.fstat(file.fileno()).st_size - limit - 4)
            file.seek(start)
            window = file.read(limit + 4)  # one more than the limit, however a character is cut (3 bytes at most)
    except OSError:
        return Tail(text="", total_bytes=0, truncated=False)
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
    """Remove outputs that are too old, then the oldest of those that are too many or too large in sum.

    Works in slices, so that nobody waits for it: each step yields how many files it removed. `now_s` is epoch
    seconds; `keep` are the executions whose output, or whose members' output, is still being written: those count
    and stay.
    """
    young: list[_Output] = []
    for inner in sorted(folder.glob("?/?")):
        outputs = list(_outputs_in(inner))
        old = [output for output in outputs if now_s - output.written_s > max_age_s and output.execution not in keep]
        young.extend(output for output in outputs if output not in old)
        yield _remove(old)
    young.sort(key=lambda output: output.written_s, reverse=True)
    sums = accumulate(output.size for output in young)
    spare = [
        output
        for count, (total, output) in enumerate(zip(sums, young, strict=True), start=1)
        if (count > max_files or total > max_bytes) and output.execution not in keep
    ]
    for first in range(0, len(spare), _SLICE):
        yield _remove(spare[first : first + _SLICE])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    written_s: float
    size: int
    path: Path

    @property
    def execution(self) -> str:
        """The execution, or the outermost group, that it is the output of."""
        return self.path.name.partition(".")[0]


def _outputs_in(folder: Path) -> Iterator[_Output]:
    for path in folder.glob("*.out"):
        with suppress(FileNotFoundError):  # somebody else tidied up
            status = path.stat()
            yield _Output(written_s=status.st_mtime, size=status.st_size, path=path)


def _remove(outputs: list[_Output]) -> int:
    removed = 0
    for output in outputs:
        with suppress(OSError):  # gone already, or a folder that a process put in its output's place
            output.path.unlink()
            removed += 1
    return removed


def _without_cut_character(window: bytes) -> bytes:
    """Drop the rest of a character whose begin lies before the window: up to three bytes of the form 10xxxxxx."""
    rest = next((i for i, byte in enumerate(window[:3]) if byte & 0xC0 != 0x80), 3)
    return window[rest:]


def _last_lines(encoded: bytes, limit: int) -> bytes:
    """Return at most `limit` bytes from the end of longer, valid UTF-8: whole lines, else whole characters."""
    kept = encoded[-limit:]
    if encoded[-limit - 1] == ord("\n"):
        return kept
    _, _, lines = kept.partition(b"\n")
    return lines or _without_cut_character(kept)
