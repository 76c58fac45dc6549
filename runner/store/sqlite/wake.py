"""The FIFO through which other programs wake the owner of a store. Touches files.

Its bytes mean nothing. They only make the owner look for commands sooner.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from runner.errors import StoreError


def wake_path(folder: Path) -> Path:
    """Return the path of the FIFO in a state folder."""
    return folder / "wake"


def open_wake(folder: Path) -> int:
    """Create the FIFO `wake` if necessary, and return the owner's non-blocking descriptor.

    Raises StoreError.
    """
    path = wake_path(folder)
    try:
        with suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        if not stat.S_ISFIFO(path.lstat().st_mode):
            raise StoreError(f"{path} is not a FIFO; remove it, and the runner creates a new one")
        # Open for writing as well: a reader alone gets POLLHUP without end once the last
        # writer has closed.
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"the FIFO {path} cannot be used: {error.strerror}") from error


def drain_wake(descriptor: int) -> None:
    """Read and drop all bytes in the FIFO."""
    with suppress(BlockingIOError):
        while os.read(descriptor, 65536):
            pass


def wake_owner(folder: Path) -> None:
    """Write a byte into the FIFO.

    Perhaps no runner is listening, or the FIFO is full. That does not matter: a runner sees
    the command in its next turn.
    """
    with suppress(OSError):
        descriptor = os.open(wake_path(folder), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            # Somebody may have put another file there.
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.write(descriptor, b"\0")
        finally:
            os.close(descriptor)
