"""What belongs to this node alone: its state folder, its name, and its monitor log.

Touches files. The state folder makes the node the same one after a restart.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runner.errors import RefusedError, StoreError
from runner.requests.files.permissions import require_trusted
from runner.store.lock import take_lock
from runner.store.state_id import own_state_id


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnNode:
    """This node. While it is held, no other process has its state folder or its log."""

    state_id: str
    """The random id of its state folder, made when a node first used it."""
    lock: int
    """The descriptor by which the state folder is held."""


@contextmanager
def own_node(folder: Path, log: Path, *, handed: int | None) -> Iterator[OwnNode]:
    """Hold a state folder and a monitor log as a node of a fleet.

    `handed` is the descriptor by which a former program of this process held the folder.
    Raises StoreInUseError and RefusedError if another process has one of them, and
    StoreError.
    """
    with _held_folder(folder, handed) as lock, _held_log(log):
        yield OwnNode(state_id=_state_id(folder), lock=lock.fileno())


def _held_folder(folder: Path, handed: int | None) -> BinaryIO:
    """Create a state folder if necessary, and take its lock."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return take_lock(folder, handed)
    except OSError as error:
        raise StoreError(
            f"the state folder {folder} cannot be used: {error.strerror} (--state)"
        ) from error


def _state_id(folder: Path) -> str:
    try:
        return own_state_id(folder)
    except OSError as error:
        raise StoreError(
            f"the state folder {folder} cannot be used: {error.strerror} (--state)"
        ) from error


@contextmanager
def _held_log(log: Path) -> Iterator[None]:
    """Keep other nodes from writing to a log, under any name of its folder.

    Without a place for the lock the log itself cannot be written either.
    """
    place = log.resolve()
    require_trusted(place, "the monitor log")
    with suppress(OSError):
        place.parent.mkdir(exist_ok=True)
    try:
        descriptor = os.open(
            place.with_name(f".{place.name}.lock"),
            os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o600,
        )
    except OSError:
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RefusedError(
            f"the monitor log {log} belongs to another node of a fleet; each one copies every"
            " record, so give this one a log of its own (--monitor-log)"
        ) from None
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        os.close(descriptor)
