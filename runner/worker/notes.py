"""What this worker must still know after kill -9: its executions, and unsent reports.

A SQLite file in the worker's folder. Only the worker's main thread uses it. A crash of the
process loses nothing. A crash of the machine may lose the last notes, but it also ends
every process, and the worker comes back with another identity.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from runner.errors import StoreError, StoreUnwritableError
from runner.store.rows import ExecutionRow, Phase
from runner.values import new_id

FILE = "notes.sqlite3"
_VERSION = 1
_SCHEMA = f"""
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS executions (
    id TEXT PRIMARY KEY, take TEXT NOT NULL, step TEXT NOT NULL, is_fenced INTEGER NOT NULL,
    row TEXT NOT NULL, pid INTEGER, pid_started INTEGER, started INTEGER, jobs TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS reports (
    number INTEGER PRIMARY KEY AUTOINCREMENT, execution TEXT NOT NULL, kind TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
PRAGMA user_version = {_VERSION};
COMMIT;
"""


class Step(StrEnum):
    """How far this worker is with an execution that it took."""

    STARTING = "starting"  # its start was or will be ordered: a process may exist
    RUNNING = "running"
    ENDED = "ended"  # its end is noted as a report


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """An execution that this worker took, with all that is needed to adopt its process."""

    row: ExecutionRow
    take: str
    """The random token of the take, which makes it this worker's."""
    step: Step
    is_fenced: bool
    """Whether its process must end before the leader may count it as lost."""
    pid: int | None = None
    pid_started: int | None = None
    """In clock ticks, as in `ProcessId`."""
    started: int | None = None
    """Microseconds since 1970-01-01T00:00Z."""
    jobs: str | None = None
    """The leader's jobs folder."""

    @property
    def id(self) -> str:
        """The execution's id."""
        return self.row.id


class Report(NamedTuple):
    """A report for the leader, which waits until the database has it."""

    number: int
    """Counts from 1 in this folder. A later report of an execution has a higher number."""
    execution: str
    kind: str
    body: str
    """JSON."""


def state_id_in(folder: Path) -> str | None:
    """Return the id of a worker's folder; None if it has none yet. Raises StoreError."""
    if not (folder / FILE).is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{(folder / FILE).as_uri()}?mode=ro", uri=True)) as database:
            row = database.execute("SELECT value FROM meta WHERE key = 'state_id'").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"the worker's notes {folder / FILE} cannot be read: {error}") from error
    return None if row is None else str(row[0])


class Notes:
    """The notes in a worker's folder. Raises StoreUnwritableError where the disk refuses."""

    def __init__(self, folder: Path, boot: str) -> None:
        """Open the notes of `folder`; drop the executions of another boot. Raises StoreError.

        After a reboot nothing of them runs. Reports that were not sent are kept.
        """
        path = folder / FILE
        with ExitStack() as on_failure:
            try:
                self._database = on_failure.enter_context(
                    closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
                )
                (version,) = self._database.execute("PRAGMA user_version").fetchone()
                if version > _VERSION:
                    raise StoreError(f"{path} was written by a newer version of Runner")
                self._database.executescript(_SCHEMA)
                self._database.execute("PRAGMA synchronous = NORMAL")
                self.state_id = self._kept("state_id", new_id)
                self.is_same_boot = self._kept("boot", lambda: boot) == boot
                if not self.is_same_boot:
                    self._database.execute("DELETE FROM executions")
                    self._database.execute("UPDATE meta SET value = ? WHERE key = 'boot'", (boot,))
            except sqlite3.Error as error:
                words = f"the worker's notes {path} cannot be used: {error}"
                raise StoreError(words) from error
            on_failure.pop_all()

    def executions(self) -> list[Taken]:
        """Return the executions that the leader may still count as this worker's."""
        rows = self._database.execute("SELECT * FROM executions ORDER BY id")
        return [_taken(*row) for row in rows]

    def put(self, executions: Iterable[Taken]) -> None:
        """Write executions durably, new or changed."""
        with self._transaction():
            self._put(executions)

    def report(self, kind: str, body: str, execution: Taken) -> Report:
        """Write an execution's new state together with the report of it."""
        with self._transaction():
            self._put([execution])
            cursor = self._database.execute(
                "INSERT INTO reports (execution, kind, body) VALUES (?, ?, ?)",
                (execution.id, kind, body),
            )
            assert cursor.lastrowid is not None
            return Report(cursor.lastrowid, execution.id, kind, body)

    def unsent(self) -> list[Report]:
        """Return the reports that the database may lack, oldest first."""
        rows = self._database.execute(
            "SELECT number, execution, kind, body FROM reports ORDER BY 1"
        )
        return [Report(*row) for row in rows]

    def note_sent(self, numbers: Iterable[int]) -> list[str]:
        """Drop reports that the database has; return the execution of each."""
        executions: list[str] = []
        with self._transaction():
            for number in numbers:
                rows = self._database.execute(
                    "DELETE FROM reports WHERE number = ? RETURNING execution", (number,)
                )
                executions += (execution for (execution,) in rows)
        return executions

    def forget(self, executions: Iterable[str]) -> None:
        """Drop executions that the leader no longer counts as this worker's."""
        with self._transaction():
            self._database.executemany(
                "DELETE FROM executions WHERE id = ?", [(each,) for each in executions]
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _put(self, executions: Iterable[Taken]) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO executions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    each.id,
                    each.take,
                    each.step,
                    each.is_fenced,
                    _row_text(each.row),
                    each.pid,
                    each.pid_started,
                    each.started,
                    each.jobs,
                )
                for each in executions
            ],
        )

    def _kept(self, key: str, first: Callable[[], str]) -> str:
        """Return a value of the folder; the first time it is made by `first`."""
        found = self._database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if found is not None:
            return str(found[0])
        value = first()
        self._database.execute("INSERT INTO meta VALUES (?, ?)", (key, value))
        return value

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.Error as error:
            raise StoreUnwritableError(f"the worker's notes cannot be written: {error}") from error


def _row_text(row: ExecutionRow) -> str:
    return json.dumps(row._asdict())


def _taken(
    _id: str,
    take: str,
    step: str,
    is_fenced: int,
    row: str,
    pid: int | None,
    pid_started: int | None,
    started: int | None,
    jobs: str | None,
) -> Taken:
    fields = json.loads(row)
    return Taken(
        row=ExecutionRow(**{**fields, "phase": Phase(fields["phase"])}),
        take=take,
        step=Step(step),
        is_fenced=bool(is_fenced),
        pid=pid,
        pid_started=pid_started,
        started=started,
        jobs=jobs,
    )
