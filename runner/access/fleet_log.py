"""The monitor log on a machine where no node of the fleet runs: a copy of the store's records.

The copy lies in the state folder, and all programs of the machine share it: each program
adds what is new before it reads. Without a state folder that belongs to the user, the copy is
temporary. Reads the store; touches files.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from runner.errors import StoreError, StoreUnwritableError
from runner.store.opening import address_of, needing_the_extra
from runner.store.place import StorePlace
from runner.system.regular_files import is_folder

if TYPE_CHECKING:
    from runner.store.postgres.connecting.connection import Connection

_MOST = 100_000
"""How many records a new copy begins with, at most."""
_AT_ONCE = 4 << 20
"""About how many bytes are read with one statement."""
_LARGEST = 256 << 20
"""From this size on, in bytes, the file is renamed, and replaces the one renamed before."""


class _End(NamedTuple):
    """What the copy has."""

    number: int
    """The number of its newest record in the store; 0 without one."""
    size: int
    """Where that record ends in the file, in bytes."""


@cache
def fleet_log(store: StorePlace) -> FleetLog:
    """Return the copy of a store's records that this process reads, until it ends."""
    log = FleetLog(store, _folder_in(store.folder))
    atexit.register(log.close)
    return log


class FleetLog:
    """A copy of the newest records. Thread-safe; other processes may use it at the same time."""

    def __init__(self, store: StorePlace, folder: Path) -> None:
        """Touch nothing yet."""
        self.folder = folder
        """The folder of the copy, with its history index."""
        self.path = folder / "monitor.jsonl"
        self._former = folder / "monitor.jsonl.1"
        self._mark = folder / "mark"
        self._store = store
        self._lock = Lock()
        self._connection: Connection | None = None

    def up_to_date(self) -> Path:
        """Append the records that are new, and return the path. Raises StoreError."""
        with self._lock, self._errors_in_words(), self._alone():
            if self._connection is None:
                self._connection = self._connected()
            if self._connection is not None:
                self._append(self._connection)
        return self.path

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> Connection | None:
        """Return a connection to the store; None while the database has no tables."""
        from runner.store.postgres.connecting.connection import connect
        from runner.store.postgres.migrating import require_current, version_of

        address = address_of(self._store)
        with ExitStack() as unless_current:
            connection = unless_current.enter_context(
                closing(connect(address, what="runner reader"))
            )
            if version_of(connection, address) == 0:
                return None
            require_current(connection, address)
            unless_current.pop_all()
            return connection

    def _append(self, connection: Connection) -> None:
        from runner.store.postgres.content import queries

        number, size = self._end(connection)
        while found := queries.records_after(connection, number, about_bytes=_AT_ONCE):
            with self.path.open("ab") as file:
                file.writelines(line for _, line in found)
                number, size = found[-1][0], file.tell()
            if size > _LARGEST:
                self.path.replace(self._former)
                self.path.touch()
                size = 0
            self._note(_End(number, size))

    def _end(self, connection: Connection) -> _End:
        """Return what the copy has of this store. A copy of another store is begun anew.

        What follows the end was written by a process that was killed: it is cut off.
        """
        from runner.store.postgres.content import queries
        from runner.store.postgres.fleet import lease

        newest = lease.view(connection).record
        end = self._noted()
        if end is not None and end.number <= newest:
            last = queries.records_after(connection, end.number - 1, about_bytes=1)
            if not last or last[0][0] != end.number or self._has(last[0][1], end):
                if self.path.stat().st_size > end.size:
                    os.truncate(self.path, end.size)
                return end
        self._former.unlink(missing_ok=True)
        self.path.write_bytes(b"")
        return _End(max(newest - _MOST, 0), 0)

    def _noted(self) -> _End | None:
        """Return the end that was noted last; None if the files do not fit it."""
        with suppress(FileNotFoundError, ValueError):
            number, size = map(int, self._mark.read_text().split())
            if self.path.stat().st_size >= size:
                return _End(number, size)
        return None

    def _note(self, end: _End) -> None:
        new = self._mark.with_suffix(".new")
        new.write_text(f"{end.number} {end.size}\n")
        new.replace(self._mark)

    def _has(self, line: bytes, end: _End) -> bool:
        """Return whether the copy ends with a record."""
        path = self.path if end.size else self._former
        with suppress(FileNotFoundError):
            begin = (end.size or path.stat().st_size) - len(line)
            if begin >= 0:
                with path.open("rb") as file:
                    file.seek(begin)
                    return file.read(len(line)) == line
        return False

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other process writes the copy."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.open(self.folder / "lock", flags, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _errors_in_words(self) -> Iterator[None]:
        """After an error of the database, the next call connects again."""
        address = address_of(self._store)
        with needing_the_extra():
            from runner.store.postgres.connecting.connection import errors_in_words
        try:
            with errors_in_words(address):
                yield
        except StoreError:
            self.close()
            raise
        except OSError as error:
            raise StoreUnwritableError(
                f"the copy of the fleet's log in {self.folder} cannot be written: {error.strerror}"
            ) from error


def _folder_in(state: Path) -> Path:
    """Return the folder of the copy: in the state folder, if it is this user's own.

    It exists from now on, for the program that keeps the history index in it.
    """
    if is_folder(state) and state.stat().st_uid == os.geteuid() and os.access(state, os.W_OK):
        with suppress(OSError):  # `up_to_date` reports it
            (state / "fleet-log").mkdir(mode=0o700, exist_ok=True)
        return state / "fleet-log"
    temporary = Path(mkdtemp(prefix="runner-log-"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return temporary
