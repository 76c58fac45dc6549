"""Keeps the order of a commit: store, effects, log, mark. Owns store
and log.

    facts → `commit` → (the caller spawns) → `append` → `show`

The next commit carries the mark. If the store refuses facts, they stay and are offered
again; if the log refuses a batch, it waits in the store. The log is written in a thread:
its folder may hang while the store's answers, and then only the records wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from loguru import logger

from runner.errors import LogUnwritableError, RunnerError, StoreError
from runner.monitor.log import MonitorLog
from runner.monitor.log_files import Place
from runner.monitor.records import Record, Recorder, decode
from runner.service.recording.outbox import Outbox
from runner.store.protocol import Store
from runner.store.rows import Batch, ExecutionRow, Mark, RequestRow
from runner.system.background_calls import ContinuedCalls
from runner.values import to_microseconds

Observer = Callable[[dict[str, Any]], None]
_PATIENCE_S, _LAST_PATIENCE_S = 0.5, 5.0
"""How long the loop waits for the log, and how long a start or an end does, in seconds."""
MOST_UNSHOWN, SHOWN_AT_ONCE = 10_000, 64
"""How many records may wait for the observer, and how many it is shown at once."""
_SILENT_S = 5.0
"""After how long the silence of the log is reported, in seconds."""


class Journal:
    """Makes what happened durable, in order and exactly once, then shows it to an observer.

    Facts are what has happened already: executions that run or ended, their records, and
    what the runner notes about itself. They wait here for the next commit.

    `store_trouble` and `log_trouble` say what is wrong at present; None if nothing is.
    """

    def __init__(
        self, store: Store, log: MonitorLog, recorder: Recorder, observer: Observer
    ) -> None:
        self._facts = Batch()
        self.store_trouble: str | None = None
        self.log_trouble: str | None = None
        self._store = store
        self._log = log
        self._calls = ContinuedCalls("log")
        # The append in progress, with the number of its last record.
        self._appending: tuple[int, Callable[[], Place]] | None = None
        self._recorder = recorder
        self._observer = observer
        self._outbox = Outbox(store)
        self._unshown: deque[bytes] = deque()
        self._mark: Mark | None = None
        self._appended: tuple[int, Mark] | None = None
        self._is_store_unsound = False

    def recover(self, outbox: range, mark: Mark | None) -> None:
        """Bring the records of a former runner into the log, each exactly once.

        The former runner may have died before, during or after an append. The mark says
        where that append began, so the log compares its bytes from there with the batch
        and adds only what is missing. Further batches, or all of them while the log is
        unwritable, are appended later. Raises StoreUnwritableError.
        """
        self._mark = mark
        self._outbox.resume(outbox)
        try:
            if self._outbox:
                inode, offset = (mark.file, mark.offset) if mark else (0, 0)
                number, batch = self._outbox.batch()
                recover = partial(self._log.recover, inode, offset, batch)
                self._end_append(number, recover, _LAST_PATIENCE_S)
            else:
                place = self._calls.result(self._log.place, patience_s=_LAST_PATIENCE_S)
                self._mark = _mark_at(*place)
                self._appended = 0, self._mark
        except (LogUnwritableError, TimeoutError) as error:
            self._note_log_trouble(error)
            return
        self._store.commit(Batch(), appended=self._appended)
        self._appended = None

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

    def note_request(self, row: RequestRow) -> None:
        """Add the new row of a request to the facts."""
        self._facts.requests[row.name] = row

    def note_meta(self, meta: Mapping[str, str]) -> None:
        """Add what the runner notes about itself to the facts."""
        self._facts.meta |= meta

    @property
    def has_facts(self) -> bool:
        """Whether facts wait for the next commit."""
        return bool(self._facts)

    @property
    def is_waiting(self) -> bool:
        """Whether anything is left to commit or to append."""
        return self.has_facts or self.has_unwritten

    @property
    def has_unwritten(self) -> bool:
        """Whether the log still lacks committed records."""
        return bool(self._outbox)

    def commit(self, decided: Batch | None = None) -> bool:
        """Commit the facts together with a decision. Return False if the store refused.

        Then the facts are kept for the next commit, and the caller drops the decision.
        """
        batch = self._facts if decided is None else self._facts.joined(decided)
        if not batch:
            return True
        try:
            numbered = self._store.commit(batch, appended=self._appended)
        except StoreError as error:
            self.store_trouble = str(error)
            return False
        self._facts, self._appended, self.store_trouble = Batch(), None, None
        self._outbox.add(numbered)
        self._unshown.extend(line for _, line in numbered)
        return True

    def append(self, *, patience_s: float | None = None) -> bool:
        """Append one batch of committed records to the monitor log.

        Return False if the log has not taken the whole batch, or not within `patience_s`
        seconds: by default a moment, and none for an append that is already in progress.
        While `has_unwritten`, there is more to append.
        """
        if not self._outbox:
            return True
        if patience_s is None:
            patience_s = 0.0 if self._calls.lasts_s else _PATIENCE_S
        try:
            if self._appending is None:
                self._take_place(patience_s)
                number, batch = self._outbox.batch()
                self._end_append(number, partial(self._log.append, batch), patience_s)
            else:
                self._end_append(*self._appending, patience_s)
        except (LogUnwritableError, StoreError, TimeoutError) as error:
            self._note_log_trouble(error)
            return False
        self.log_trouble = None
        return True

    def _end_append(self, number: int, append: Callable[[], Place], patience_s: float) -> None:
        """Wait for an append that ends with record `number`, and note what the log now has.

        Raises LogUnwritableError, and TimeoutError if the append is still in progress.
        """
        self._appending = number, append
        try:
            place = self._calls.result(append, patience_s=patience_s)
        except LogUnwritableError:
            self._appending = None
            raise
        self._appending, self._mark = None, _mark_at(*place)
        self._appended = number, self._mark
        self._outbox.drop(number)

    def _note_log_trouble(self, error: RunnerError | TimeoutError) -> None:
        if not isinstance(error, TimeoutError):
            self.log_trouble = str(error)
        elif self._calls.lasts_s >= _SILENT_S:
            self.log_trouble = f"{self._log} does not answer; records wait in the store"

    @property
    def has_unshown(self) -> bool:
        """Whether the observer has not seen all durable records yet."""
        return bool(self._unshown)

    def show(self, *, is_busy: bool) -> None:
        """Show the observer the oldest durable records, in order; if `is_busy`, hardly any.

        Otherwise the last records of a burst would wait for the lines of the first ones.
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
        if not self._note_mark():
            return False
        self._store.tidy()
        return True

    def close(self) -> None:
        """Append the committed records, and close store and log.

        Uncommitted facts are dropped, as in a crash. To commit them here would lose what
        follows them, because nothing decides about follow-ups any more.
        """
        while self.append(patience_s=_LAST_PATIENCE_S) and self._outbox:
            pass
        self.show_all()
        self._note_mark()
        if not self._calls.lasts_s:  # else the thread still uses the log
            self._log.close()
        self._calls.close()
        self._store.close()

    def _take_place(self, patience_s: float) -> None:
        """Commit the place of the next bytes before the log gets them.

        After a crash, `recover` then sees which part of a batch arrived.
        """
        # The log may have been rotated since the last append (another inode), or truncated
        # (a smaller offset). If it is where the store knows it to be, no commit is needed.
        place = _mark_at(*self._calls.result(self._log.place, patience_s=patience_s))
        if place != self._mark:
            if (
                self._mark is not None
                and place.file == self._mark.file
                and place.offset < self._mark.offset
            ):
                logger.warning(
                    "{} was truncated: its former content is lost; rotate it by renaming", self._log
                )
        elif self._appended is None:
            return
        seq = self._appended[0] if self._appended else 0
        self._store.commit(Batch(), appended=(seq, place))
        self._mark, self._appended = place, None

    def _note_mark(self) -> bool:
        """Commit the number of the last record in the log. Return False if the store refused."""
        if self._appended is None:
            return True
        try:
            self._store.commit(Batch(), appended=self._appended)
        except StoreError as error:
            # Nothing is lost: the next start finds these records in the log.
            self.store_trouble = str(error)
            return False
        self._appended = None
        return True


def _mark_at(inode: int, offset: int) -> Mark:
    return Mark(file=inode, offset=offset)
