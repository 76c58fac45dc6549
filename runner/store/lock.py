"""The lock that makes one runner the owner of a state folder. Touches files."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import BinaryIO

from runner.errors import StoreError, StoreInUseError
from runner.system.regular_files import open_regular

_LINE_BYTES = 21
"""Width of a line in the lock: the pid, the newest record's number, the latest start."""
_TRIES = 100
_BETWEEN_TRIES_S = 0.01


def lock_path(folder: Path) -> Path:
    """Return the path of the lock in a state folder."""
    return folder / "lock"


def take_lock(folder: Path, handed: int | None = None) -> BinaryIO:
    """Take the lock and write this process's pid into it.

    The lock ends when the file is closed or the process dies. `handed` is a descriptor by
    which a former program of this process held it, and holds it still. Raises
    StoreInUseError with the owner's pid, and OSError.
    """
    if handed is not None and os.path.samestat(os.fstat(handed), lock_path(folder).stat()):
        os.set_inheritable(handed, False)
        return open(handed, "r+b", buffering=0)  # noqa: PTH123
    # Unbuffered, so that nothing is left to write at close. The file is never truncated or
    # deleted: a second file of the same name would be a second lock.
    file = open(  # noqa: SIM115, PTH123
        os.open(lock_path(folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b", buffering=0
    )
    try:
        _lock(file, folder)
        # One write of a fixed width: a reader sees the former pid or this one, never a mix.
        os.pwrite(file.fileno(), b"%-20d\n" % os.getpid(), 0)
    except BaseException:
        file.close()
        raise
    return file


def _lock(file: BinaryIO, folder: Path) -> None:
    # `owner_pid` in another program holds the lock for an instant, which may be longer on a
    # busy machine.
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
    """Return the pid of the runner that holds the store's lock now; None if it is free.

    Raises StoreError if the lock cannot be read.
    """
    try:
        # PTH123: `open` wraps a descriptor here.
        with open(open_regular(lock_path(folder)), "rb", buffering=0) as file:  # noqa: PTH123
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _pid_in(file)
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # also for a FIFO
        raise StoreError(
            f"the lock {lock_path(folder)} cannot be read: {error.strerror}"
        ) from error


def _pid_in(file: BinaryIO) -> int | None:
    """Return the pid in a lock; None if its owner has not written it yet."""
    return _number_at(file, 0)


def note_record(file: BinaryIO, number: int) -> None:
    """Note the number of the newest committed record outside the store. Raises OSError.

    A store that was restored from a copy has a lower number, which reveals it.
    """
    os.pwrite(file.fileno(), b"%-20d\n" % number, _LINE_BYTES)


def noted_record(file: BinaryIO) -> int:
    """Return the number that `note_record` wrote last, in any process; 0 if none."""
    return _number_at(file, _LINE_BYTES) or 0


def note_start(file: BinaryIO, due: int) -> None:
    """Note the `due` of an execution that is about to start. Raises OSError.

    Without a sync, this outlives the process and costs a few microseconds.
    """
    os.pwrite(file.fileno(), b"%-20d\n" % due, 2 * _LINE_BYTES)


def noted_start(file: BinaryIO) -> int:
    """Return what `note_start` wrote last, in any process; 0 if nothing."""
    return _number_at(file, 2 * _LINE_BYTES) or 0


def _number_at(file: BinaryIO, offset: int) -> int | None:
    text = os.pread(file.fileno(), _LINE_BYTES, offset).strip()
    return int(text) if text.isdigit() else None
