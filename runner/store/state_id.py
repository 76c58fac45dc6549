"""The random id of a state folder, which tells the nodes of a fleet apart. Touches a file."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

_MOST_BYTES = 100


def state_id_path(folder: Path) -> Path:
    """Return the path of the file with the id."""
    return folder / "state-id"


def state_id_of(folder: Path) -> str | None:
    """Return the id of a state folder; None if it has none yet. Raises OSError."""
    try:
        descriptor = os.open(state_id_path(folder), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return os.read(descriptor, _MOST_BYTES).decode(errors="replace").strip() or None
    finally:
        os.close(descriptor)


def own_state_id(folder: Path) -> str:
    """Return the id of a state folder; create it on first use. Raises OSError.

    The file appears whole, by a link: two programs that create it get the same id.
    """
    if (found := state_id_of(folder)) is not None:
        return found
    new = folder / f".state-id.{uuid4().hex}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{uuid4()}\n".encode())
        os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(new, state_id_path(folder))
    finally:
        os.close(descriptor)
        new.unlink()
    return state_id_of(folder) or own_state_id(folder)
