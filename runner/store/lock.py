"""The lock that makes one runner the owner of a state folder, and who holds it. Touches files."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import BinaryIO

from runner.errors import StoreError, StoreInUseError
from runner.system.regular_files import open_regular

_LINE_BYTES = 21
"""The pid and the number of the newest record have a line each, of a fixed width."""
_TRIES = 100
_BETWEEN_TRIES_S = 0.01


def lock_path(folder: Path) -> Path:
    """Return the place of the lock in a state folder."""
    return folder / "lock"


def take_lock(folder: Path) -> BinaryIO:
    """Take the lock and leave this process's pid in it. Closing the file lets it go; so
    does the process's death.

    Raises StoreInUseError, naming the owner, and OSError.
    """
    # Unbuffered, so that closing has nothing left to write; opened with O_CREAT and
    # never truncated or unlinked.
    file = open(  # noqa: SIM115, PTH123
        os.open(lock_path(folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b", buffering=0
    )
    try:
        _lock(file, folder)
        # One write of a fixed width: whoever reads meanwhile sees the former pid or
        # this one, never half of one.
        os.pwrite(file.fileno(), b"%-20d\n" % os.getpid(), 0)
    except BaseException:
        file.close()
        raise
    return file


def _lock(file: BinaryIO, folder: Path) -> None:
    # `owner_pid` of another program holds the lock for an instant, which a busy machine
    # may draw out.
    for _ in range(_TRIES):
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_BETWEEN_TRIES_S)
    owner = _pid_in(file)
    raise StoreInUseError(
        f"{folder} is in use by another runner{f' (process {owner})' if owner else ''}; "
        f"stop that one first, or choose another state folder (--state)"
    )


def owner_pid(folder: Path) -> int | None:
    """Return the pid of the runner that holds the store's lock now, or None if nobody does.

    Raises StoreError if the lock cannot be looked at.
    """
    try:
        with open(open_regular(lock_path(folder)), "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _pid_in(file)
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # a FIFO, too
        raise StoreError(
            f"the lock {lock_path(folder)} cannot be read: {error.strerror}"
        ) from error


def _pid_in(file: BinaryIO) -> int | None:
    """Return the pid in a lock; None if its owner has not yet come to writing it."""
    return _number_at(file, 0)


def note_record(file: BinaryIO, number: int) -> None:
    """Note the number of the newest committed record outside the store: a store that is
    set back has a lower one.

    Raises OSError.
    """
    os.pwrite(file.fileno(), b"%-20d\n" % number, _LINE_BYTES)


def noted_record(file: BinaryIO) -> int:
    """Return what `note_record` wrote last, in whatever process; 0 if nothing."""
    return _number_at(file, _LINE_BYTES) or 0


def _number_at(file: BinaryIO, offset: int) -> int | None:
    text = os.pread(file.fileno(), _LINE_BYTES, offset).strip()
    return int(text) if text.isdigit() else None
