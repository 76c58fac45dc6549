"""Opens a store: the one module that knows which database is behind it. Touches files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runner.store.sqlite import lock
from runner.store.sqlite.reader import SqliteReader
from runner.system.regular_files import is_read_only

if TYPE_CHECKING:
    from runner.store.protocol import Mailbox, Store, StoreReader


def own_store(folder: Path, *, handed: int | None = None) -> Store:
    """Create or open the store of a state folder, and own it until `close`.

    `handed` is what `Store.hand_over` returned in a former program of this process.

    Raises StoreInUseError with the owner's pid, and StoreError for a newer version, a
    damaged file or an unusable folder; nothing is overwritten then.
    """
    # Imported late: a command that only reads needs neither it nor its log messages.
    from runner.store.sqlite.store import SqliteStore

    return SqliteStore.own(folder, handed)


def read_store(folder: Path) -> StoreReader:
    """Return a view of the store of a state folder. Raises StoreError."""
    return SqliteReader(folder)


def mailbox_of(folder: Path) -> Mailbox:
    """Return the mailbox of the store of a state folder."""
    from runner.store.sqlite.mailbox import SqliteMailbox

    return SqliteMailbox(folder)


def owner_pid(folder: Path) -> int | None:
    """Return the pid of the runner that owns the store now; None without one.

    Raises StoreError if this cannot be found out.
    """
    return lock.owner_pid(folder)


def is_store_read_only(folder: Path) -> bool:
    """Return whether the store is on a file system that is mounted read-only."""
    return is_read_only(lock.lock_path(folder))
