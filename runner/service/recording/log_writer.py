"""Appends committed records to the monitor log, each exactly once. Owns the log and its mark.

The mark is the end of the log as far as the store knows it: a file and an offset in it.
The store has the mark before the log gets the next batch. So after a crash `recover` knows
where that batch begins, and adds only the part of it that is missing.

The log is written in a thread: its folder may hang while the store's answers, and then
only the records wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from loguru import logger

from runner.errors import LogUnwritableError, RunnerError, StoreError
from runner.monitor.log import MonitorLog
from runner.monitor.log_files import Place
from runner.service.recording.outbox import Outbox, RecordStore
from runner.store.rows import Batch, Mark
from runner.system.background_calls import ContinuedCalls

_PATIENCE_S, _LAST_PATIENCE_S = 0.5, 5.0
"""How long the loop waits for the log, and how long a start or an end does, in seconds."""
_SILENT_S = 5.0
"""After how long the silence of the log is reported, in seconds."""


class LogWriter:
    """Takes records from the store to the monitor log.

    `trouble` says what is wrong with the log at present; None if nothing is. `appended` is
    the number of the newest record in the log, with the mark behind it; None once the store
    has it.
    """

    def __init__(self, store: RecordStore, log: MonitorLog) -> None:
        self.trouble: str | None = None
        self.appended: tuple[int, Mark] | None = None
        self._store = store
        self._log = log
        self._calls = ContinuedCalls("log")
        self._outbox = Outbox(store)
        self._mark: Mark | None = None
        # The append in progress, with the number of its last record.
        self._appending: tuple[int, Callable[[], Place]] | None = None

    @property
    def has_unwritten(self) -> bool:
        """Whether the log still lacks committed records."""
        return bool(self._outbox)

    def add(self, numbered: Iterable[tuple[int, bytes]]) -> None:
        """Add records that were just committed, in the order of their numbers."""
        self._outbox.add(numbered)

    def extend(self, newest: int) -> None:
        """Add the records up to number `newest`, which another node has committed."""
        self._outbox.extend(newest)

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
                self._mark = self._end_of_log(_LAST_PATIENCE_S)
                self.appended = 0, self._mark
        except (LogUnwritableError, TimeoutError) as error:
            self._note_trouble(error)
            return
        self.commit_mark()

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
                self._commit_place(patience_s)
                number, batch = self._outbox.batch()
                self._end_append(number, partial(self._log.append, batch), patience_s)
            else:
                self._end_append(*self._appending, patience_s)
        except (LogUnwritableError, StoreError, TimeoutError) as error:
            self._note_trouble(error)
            return False
        self.trouble = None
        return True

    def commit_mark(self) -> None:
        """Commit `appended`, unless the store has it. Raises StoreUnwritableError.

        If the store refuses, nothing is lost: the next start finds these records in the log.
        """
        if self.appended is not None:
            self._store.commit(Batch(), appended=self.appended)
            self.appended = None

    def append_last(self) -> None:
        """Append all committed records, as long as the log takes them."""
        while self.append(patience_s=_LAST_PATIENCE_S) and self._outbox:
            pass

    def close(self) -> None:
        """Close the log."""
        if not self._calls.lasts_s:  # else the thread still uses it
            self._log.close()
        self._calls.close()

    def _commit_place(self, patience_s: float) -> None:
        """Commit the place of the next bytes before the log gets them."""
        # The log may have been rotated since the last append (another inode), or truncated
        # (a smaller offset). If it is where the store knows it to be, no commit is needed.
        place = self._end_of_log(patience_s)
        if place != self._mark:
            if (
                self._mark is not None
                and place.file == self._mark.file
                and place.offset < self._mark.offset
            ):
                logger.warning(
                    "{} was truncated: its former content is lost; rotate it by renaming", self._log
                )
        elif self.appended is None:
            return
        number = self.appended[0] if self.appended else 0
        self._store.commit(Batch(), appended=(number, place))
        self._mark, self.appended = place, None

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
        self.appended = number, self._mark
        self._outbox.drop(number)

    def _end_of_log(self, patience_s: float) -> Mark:
        return _mark_at(*self._calls.result(self._log.place, patience_s=patience_s))

    def _note_trouble(self, error: RunnerError | TimeoutError) -> None:
        if not isinstance(error, TimeoutError):
            self.trouble = str(error)
        elif self._calls.lasts_s >= _SILENT_S:
            self.trouble = f"{self._log} does not answer; records wait in the store"


def _mark_at(inode: int, offset: int) -> Mark:
    return Mark(file=inode, offset=offset)
