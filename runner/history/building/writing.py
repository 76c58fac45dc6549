"""Who writes a history index: one program at a time, and only where it may. Touches files."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from runner.errors import RefusedError, RunnerError
from runner.store.state_folder import require_trusted_state
from runner.system.regular_files import is_there
from runner.system.trust import user_name


class HistoryError(RunnerError):
    """The history index cannot be written, or not now."""


def opened_lock(path: Path) -> int:
    """Open the lock of an index's writer, and create it. Raises HistoryError."""
    try:
        require_trusted_state(path.parent)
        return os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HistoryError(unwritable(path, error.strerror or str(error))) from error
    except RefusedError as error:
        raise HistoryError(str(error)) from error


def is_locked(lock: int) -> bool:
    """Take the lock of an index's writer; return whether nobody else has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unwritable(path: Path, reason: str) -> str:
    """Return a sentence for an index that cannot be written, with a way out."""
    folder = path.parent
    words = f"the history index in {folder} cannot be written: {reason[:1].lower()}{reason[1:]}"
    if not is_there(folder):
        return f"{words}; `runner start` makes the folder"
    owner = folder.stat().st_uid
    if owner != os.geteuid():
        return f"{words}; the folder belongs to {user_name(owner)}: run this as that user"
    return words
