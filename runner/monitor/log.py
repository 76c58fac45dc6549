"""The append-only JSON-lines file. Touches files; it owns the descriptor of the log.

`place()` → the owner commits it if it differs from the last mark → `append` → the owner commits the new mark.
"""

from __future__ import annotations

from pathlib import Path


class MonitorLog:
    """The writer. Every batch is whole lines; what a full disk left out of one is written first thing later."""

    def __init__(self, path: Path) -> None:
        raise NotImplementedError

    def place(self) -> tuple[int, int]:
        """Return (inode, size) of the file the next batch goes to, creating it, or reopening it if it was renamed away.

        Raises LogUnwritableError.
        """
        raise NotImplementedError

    def append(self, batch: bytes) -> tuple[int, int]:
        """Append whole lines with one write, fsync, and return the new (inode, size).

        Raises LogUnwritableError after a short or failed write; calling again with the same batch (or one that begins
        with it) continues exactly where it broke off.
        """
        raise NotImplementedError

    def recover(self, inode: int, offset: int, batch: bytes) -> None:
        """After a crash: bring `batch` into the log exactly once, given that everything before `offset` of `inode` is in.

        Finds the marked file even if it was renamed within its folder, completes a torn line by its missing suffix, and
        appends only what is not there. Never truncates. Raises LogUnwritableError.
        """
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
