"""Output files of executions: their paths and their tails. Touches files."""

from __future__ import annotations

import errno
import glob
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runner.execution.child.program import SpawnError, cause

# O_NONBLOCK: a process may put a FIFO in the place of its output. For a regular file the
# flag has no effect.
_APPENDING = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The end of an output: at most 4 KiB of UTF-8, whole lines if possible."""

    text: str
    total_bytes: int
    """Size of the whole output."""
    truncated: bool
    """Whether the output has more text than `text`."""


_NOTHING = Tail(text="", total_bytes=0, truncated=False)


def outputs_folder(state: Path) -> Path:
    """Return the folder of the output files inside a state folder."""
    return state / "outputs"


def output_path(folder: str | os.PathLike[str], execution: str) -> str:
    """Return the path of an execution's output below the outputs folder.

    Two levels of folders keep each folder small. Their names are the last two characters
    of the id, which are random; a UUIDv7 begins with its time. There are only 256
    folders, so most starts create none.

    >>> output_path("outputs", "0190a6e2-0000-7000-8000-0000000000f3")
    'outputs/3/f/0190a6e2-0000-7000-8000-0000000000f3.out'
    """
    return f"{folder}/{execution[-1]}/{execution[-2]}/{execution}.out"


def below_outputs(path: str) -> str:
    """Return the part of an output's path below the outputs folder: two folders and the name.

    >>> below_outputs("/state/outputs/3/f/0190f3.out")
    '3/f/0190f3.out'
    """
    return "/".join(path.split("/")[-3:])


def member_output_path(group: Path, *, sequence: int, attempt: int) -> Path:
    """Return the path of a group member's output, given the path of its group.

    A group has no output file of its own; the members' files have names derived from it.

    >>> member_output_path(Path("outputs/3/f/0190f3.out"), sequence=2, attempt=1).name
    '0190f3.2-1.out'
    """
    return group.with_name(f"{group.stem}.{sequence}-{attempt}.out")


def member_output_paths(group: Path) -> list[Path]:
    """Return the existing outputs of a group's members, nested ones included, in order.

    The order is that of the executions: by sequence and attempt, level by level.
    """
    found = group.parent.glob(f"{glob.escape(group.stem)}.*.out")
    return sorted(found, key=lambda path: member_order(group, path.stem))


def member_order(group: Path, name: str) -> list[int]:
    """Return the sort key of a member's output, given the name of its file without suffix.

    >>> member_order(Path("0190f3.out"), "0190f3.2-1")
    [2, 1]
    """
    return [int(number) for number in re.findall(r"\d+", name[len(group.stem) :])]


Identity = tuple[int, int]
"""Device and inode: they identify a file even after another file took its name."""


def open_output(path: str) -> tuple[int, Identity]:
    """Open the output file for appending; create it and its folder if missing.

    Return its descriptor and its identity. Raises SpawnError, also if a link or a FIFO is
    in its place.
    """
    try:
        try:
            descriptor = os.open(path, _APPENDING, 0o600)
        except FileNotFoundError:
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, _APPENDING, 0o600)
        if stat.S_ISREG((status := os.fstat(descriptor)).st_mode):
            return descriptor, (status.st_dev, status.st_ino)
        os.close(descriptor)
    except OSError as error:
        raise SpawnError(f"output file {path!r} cannot be written: {cause(error)}") from None
    raise SpawnError(f"output file {path!r} cannot be written: it is not a regular file")


def open_to_read(path: str | os.PathLike[str], *, only: Identity | None = None) -> BinaryIO:
    """Open an output file. Raises OSError, also for a link, a FIFO or a folder.

    A process may replace its output file, to make the runner show a file that the
    process may not read, or an unmasked one. `only` is the identity of the file that
    the output was written to, if known; another file is refused.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and only in (None, (status.st_dev, status.st_ino)):
        return open(descriptor, "rb")  # noqa: PTH123  (a descriptor)
    os.close(descriptor)
    raise OSError(errno.EINVAL, "its process has put something else in its place", str(path))


def read_tail(
    path: str | os.PathLike[str], *, limit: int = 4096, only: Identity | None = None
) -> Tail:
    """Read the tail of an output. Replace bytes that are not UTF-8; never drop them.

    `limit` is in bytes; `only` is as for `open_to_read`. The output is empty if the file
    is missing, or if its process replaced it or made it unreadable.
    """
    try:
        # Most executions print nothing. To open an empty file takes fifteen times as long.
        if os.lstat(path).st_size == 0:
            return _NOTHING
        with open_to_read(path, only=only) as file:
            start = max(0, os.fstat(file.fileno()).st_size - limit - 4)
            file.seek(start)
            # A cut character costs up to 3 bytes at the start. With 4 more than the limit
            # at least one byte remains to show that there is more.
            window = file.read(limit + 4)
    except OSError:
        return _NOTHING
    whole = _without_cut_character(window) if start else window
    encoded = whole.decode("utf-8", "replace").encode()
    return Tail(
        text=_last_lines(encoded, limit).decode() if len(encoded) > limit else encoded.decode(),
        total_bytes=start + len(window),
        truncated=len(encoded) > limit,
    )


def _without_cut_character(window: bytes) -> bytes:
    """Drop the end of a character that begins before the window.

    In UTF-8 that is up to three bytes of the form 10xxxxxx.
    """
    rest = next((i for i, byte in enumerate(window[:3]) if byte & 0xC0 != 0x80), 3)
    return window[rest:]


def _last_lines(encoded: bytes, limit: int) -> bytes:
    """Return at most `limit` bytes from the end of valid UTF-8 that is longer.

    Return whole lines, or whole characters if the last line is longer than the limit.
    """
    kept = encoded[-limit:]
    if encoded[-limit - 1] == ord("\n"):
        return kept
    _, _, lines = kept.partition(b"\n")
    return lines or _without_cut_character(kept)
