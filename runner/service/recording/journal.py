"""Keeps the order of a commit: first the store, then the processes, then the log. Owns the
store.

    facts → `commit` → (the caller starts processes) → `log.append` → `show`

If the store refuses facts, they stay and are offered again. If the log refuses records,
they wait in the store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from runner.errors import LeaseLostError, StoreError
from runner.monitor.log import MonitorLog
from runner.monitor.records import Record, Recorder, decode
from runner.service.recording.log_writer import LogWriter
from runner.store.protocol import Store
from runner.store.rows import Batch, ExecutionRow, RequestRow, ResultRow
from runner.values import to_microseconds

Observer = Callable[[dict[str, Any]], None]
MOST_UNSHOWN, SHOWN_AT_ONCE = 10_000, 64
"""How many records may wait for the observer, and how many it is shown at once."""


class Journal:
    """Makes what happened durable, in order and exactly once, then shows it to an observer.

    Facts are what has happened already: executions that run or ended, their records, and
    what the runner notes about itself. They wait here for the next commit.

    `store_trouble` says what is wrong with the store at present; None if nothing is.
    The observer is the console of `runner start`, or that of `runner exec`.
    """

    def __init__(
        self, store: Store, log: MonitorLog, recorder: Recorder, observer: Observer
    ) -> None:
        self._facts = Batch()
        self.store_trouble: str | None = None
        self.log = LogWriter(store, log)
        self._store = store
        self._recorder = recorder
        self._observer = observer
        self._unshown: deque[bytes] = deque()
        self._is_store_unsound = False

    def record(self, record: Record, at: datetime) -> bytes:
        """Add a record to the facts; return its line."""
        line = self._recorder.line(record, at)
        self._facts.records.append(line)
        return line

    def note_running(self, row: ExecutionRow) -> None:
        """Add the new row of an execution whose process runs to the facts."""
        self._facts.executions[row.id] = row

    def note_start(self, due: datetime) -> None:
        """Note outside the facts that an execution with this `due` may start from now on."""
        self._store.note_start(to_microseconds(due))

    def note_ended(self, execution: str) -> None:
        """Add the end of an execution to the facts: the next commit deletes its row."""
        self._facts.executions.pop(execution, None)
        self._facts.ended.append(execution)

    def note_result(self, row: ResultRow) -> None:
        """Add how an execution ended to the facts."""
        self._facts.results.append(row)

    def note_request(self, row: RequestRow) -> None:
        """Add the new row of a request to the facts."""
        self._facts.requests[row.name] = row

    def note_notification(self, name: str, text: str | None) -> None:
        """Add the new row of a message to people to the facts; None deletes it."""
        self._facts.notifications[name] = text

    def note_meta(self, meta: Mapping[str, str]) -> None:
        """Add what the runner notes about itself to the facts."""
        self._facts.meta |= meta

    @property
    def has_facts(self) -> bool:
        """Whether facts, or changes of the store itself, wait for the next commit."""
        return bool(self._facts) or self._store.has_changes

    @property
    def is_waiting(self) -> bool:
        """Whether anything is left to commit or to append."""
        return self.has_facts or self.log.has_unwritten

    def commit(self, decided: Batch | None = None) -> bool:
        """Commit the facts together with a decision. Return False if the store refused.

        Then the facts are kept for the next commit, and the caller drops the decision.
        """
        batch = self._facts if decided is None else self._facts.joined(decided)
        if not batch and not self._store.has_changes:
            return True
        try:
            numbered = self._store.commit(batch, appended=self.log.appended)
        except StoreError as error:
            self.store_trouble = str(error)
            return False
        self._facts, self.log.appended, self.store_trouble = Batch(), None, None
        self.log.add(numbered)
        self._unshown.extend(line for _, line in numbered)
        return True

    @property
    def has_unshown(self) -> bool:
        """Whether the observer has not seen all durable records yet."""
        return bool(self._unshown)

    def show(self, *, is_busy: bool) -> None:
        """Show the observer the oldest durable records, in order.

        If the loop `is_busy`, show only those above `MOST_UNSHOWN`: printing the first
        records of a burst would delay the executions of the last ones.
        """
        self._show(MOST_UNSHOWN if is_busy else max(len(self._unshown) - SHOWN_AT_ONCE, 0))

    def show_all(self) -> None:
        """Show the observer every durable record that it has not seen."""
        self._show(0)

    def _show(self, most_left: int) -> None:
        while len(self._unshown) > most_left:
            if record := decode(self._unshown.popleft()):
                self._observer(record)

    def check_store(self) -> bool:
        """Return whether the store's files are still the ones that the runner opened.

        If not, `store_trouble` says what is wrong.
        """
        try:
            self._store.check()
        except StoreError as error:
            self._is_store_unsound, self.store_trouble = True, str(error)
            return False
        if self._is_store_unsound:
            self._is_store_unsound, self.store_trouble = False, None
        return True

    @property
    def store_hindrance(self) -> str | None:
        """A problem that does not stop the store but should be fixed; None without one."""
        return self._store.hindrance

    def tidy(self) -> bool:
        """Commit the last mark and do the store's postponed work, while the loop is idle.

        Return False if the store refused. An idle runner commits nothing else. Without
        the mark, the next runner after a kill would search for the last batch in a log
        that may have been rotated several times.
        """
        if not self._commit_mark():
            return False
        self._store.tidy()
        return True

    def close(self) -> None:
        """Append the committed records, and close store and log.

        Uncommitted facts are dropped, as in a crash. To commit them here would lose what
        follows them, because nothing decides about follow-ups any more.
        """
        with suppress(LeaseLostError):  # then the next leader's records follow in this log
            self.log.append_last()
            self._commit_mark()
        self.show_all()
        self.log.close()
        self._store.close()

    def _commit_mark(self) -> bool:
        try:
            self.log.commit_mark()
        except StoreError as error:
            self.store_trouble = str(error)
            return False
        return True
