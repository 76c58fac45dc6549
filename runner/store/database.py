"""The store's tables and its one writer's transactions, `synchronous=FULL`. Touches files.

The owner commits a `Batch` a turn. Other programs read, and write only the `commands` table (see `mailbox`).
"""

from __future__ import annotations

from pathlib import Path

from runner.store.rows import Batch, CommandRow, ExecutionRow, Mark, RequestRow, Snapshot


class Store:
    """The owner's side. Holds the lock (flock on `lock` in the folder) while open."""

    @classmethod
    def own(cls, folder: Path) -> Store:
        """Create or open the store in `folder` and lock it.

        Raises StoreInUseError (naming the owner's pid), StoreError for a newer version, a corrupt file or a folder
        that cannot be used; nothing is overwritten then.
        """
        raise NotImplementedError

    def load(self) -> Snapshot:
        """Return the whole content."""
        raise NotImplementedError

    def commit(self, batch: Batch, *, appended: tuple[int, Mark] | None = None) -> tuple[tuple[int, bytes], ...]:
        """Write the batch in one transaction; durable when this returns. Returns its records with their numbers.

        `appended` (number, mark) says that every record up to that number is in the log, which now ends at the mark:
        those leave the outbox. Raises StoreUnwritableError; then nothing is written and the same call may be repeated.
        """
        raise NotImplementedError

    def pending_commands(self) -> tuple[CommandRow, ...]:
        """Return the commands that wait for an answer, oldest first, withdrawing those past their deadline."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the database and let the lock go."""
        raise NotImplementedError


class StoreReader:
    """A look at a store from another program, at one moment. Missing store: empty results."""

    def __init__(self, folder: Path) -> None:
        raise NotImplementedError

    def requests(self) -> tuple[RequestRow, ...]:
        raise NotImplementedError

    def executions(self) -> tuple[ExecutionRow, ...]:
        raise NotImplementedError

    def meta(self) -> dict[str, str]:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def owner_pid(folder: Path) -> int | None:
    """Return the pid of the runner that holds the store's lock now, or None if nobody does."""
    raise NotImplementedError
