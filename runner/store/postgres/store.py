"""The owner's side of a store in PostgreSQL: that of the node that leads.

Each commit is one transaction that begins with the lease's row (`lease`). A node whose
lease was taken by another one writes nothing more. The state folder keeps what belongs to
this node: its lock, its id, and the note of the latest start.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from runner.errors import LeaseLostError, StoreError, StoreInUseError, StoreUnwritableError
from runner.store.known_definitions import KnownDefinitions
from runner.store.lock import note_record, note_start, noted_record, noted_start, take_lock
from runner.store.postgres.commit_part import CommitPart
from runner.store.postgres.connecting.address import Address
from runner.store.postgres.connecting.arrivals import Arrivals
from runner.store.postgres.connecting.connection import Connection, connect, errors_in_words
from runner.store.postgres.connecting.link import Link
from runner.store.postgres.content import inbox, outputs, queries
from runner.store.postgres.content.changes import (
    at_once,
    batch_statements,
    definition_statements,
    execute_all,
    records_statements,
    records_text,
    set_mark,
)
from runner.store.postgres.fleet import lease, nodes
from runner.store.postgres.fleet.lease import Holder, Lease
from runner.store.postgres.fleet.registry import prune_records, registered_name
from runner.store.postgres.migrating import migrate
from runner.store.postgres.owner import in_use_words, is_own
from runner.store.protocol import StoredOutput
from runner.store.rows import Batch, CommandRow, Fleet, Mark, Phase, ResultRow, Snapshot
from runner.store.state_id import own_state_id
from runner.system.inheritance import inheritable

_ANY_START = 253_402_300_799_999_999  # the end of the year 9999
"""What is noted as the latest start if the former leader noted its starts elsewhere."""
_UNANSWERED_S = 4.0
"""How long a commit whose answer was lost waits for the database, in seconds."""
_TIDY_S = 60.0
"""How often old rows are deleted, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """A commit that was sent."""

    number: int
    batch: Batch
    records: tuple[tuple[int, bytes], ...]
    definitions: dict[str, str | None]
    started: tuple[str, ...]


class PostgresStore:
    """The store of a fleet (see `Store`). While open it holds the lease and the folder's lock."""

    def __init__(
        self,
        address: Address,
        connection: Connection,
        lock: BinaryIO,
        state_id: str,
        held: Lease,
        *,
        former_start: int,
        part: CommitPart | None,
    ) -> None:
        """Call `own` instead; this only takes over what `own` opened."""
        self._address = address
        self._link = Link(address, "runner leader", connection)
        self._lock = lock
        self._state_id = state_id
        self._epoch, self._batch = held.epoch, 0
        self.notice = _set_back(address, held.record, noted_record(lock))
        self._former_start = former_start
        self._latest_start = 0
        self._part = part
        self._definitions = KnownDefinitions()
        self._started: set[str] = set()
        self._taken: set[str] = set()
        self._is_take_unanswered = False
        self._unanswered: _Attempt | None = None
        self._arrivals: Arrivals | None = None
        self._renewed_s = time.monotonic()
        self._tidied_s = time.monotonic()
        self._records_kept: timedelta | None = None
        self._is_handed_over = self._is_closed = False
        self._note_last(held.record)

    @classmethod
    def own(
        cls,
        address: Address,
        folder: Path,
        *,
        node: str | None = None,
        handed: int | None = None,
        part: CommitPart | None = None,
    ) -> PostgresStore:
        """Take the folder's lock and the lease (see `own_store`).

        `node` is the name of this node if it is registered already. Commands that a former
        leader took are withdrawn.
        """
        with ExitStack() as resources:
            lock = resources.enter_context(_locked(folder, handed))
            connection = connect(address, what="runner leader")
            resources.callback(connection.close)
            state_id = own_state_id(folder)
            with errors_in_words(address):
                migrate(connection, address, state_id=state_id)
                is_same_node = is_own(lease.view(connection), folder)
                held = _led(connection, address, state_id, node)
            store = cls(
                address, connection, lock, state_id, held, part=part,
                former_start=noted_start(lock) if is_same_node else _ANY_START,
            )  # fmt: skip
            resources.pop_all()
            return store

    @property
    def hindrance(self) -> str | None:
        """A connection pool before the database; None without one."""
        if self._arrivals is None or not self._arrivals.is_pooled:
            return None
        return (
            f"a connection pool such as PgBouncer lies before the store {self._address.words};"
            " unless it pools sessions, it loses notifications, and the runner only looks for"
            " commands every half second: connect to the server directly"
        )

    @property
    def has_changes(self) -> bool:
        """Whether the part of each commit has something to write."""
        return self._part is not None and self._part.has_changes()

    @property
    def epoch(self) -> int:
        """Counts the times that the leadership was taken."""
        return self._epoch

    def fleet(self) -> Fleet:
        """Return who leads, and all nodes. Raises StoreError."""
        with self._connected() as connection:
            return nodes.fleet(connection)

    def load(self) -> Snapshot:
        """Return the whole content, apart from the lines of the outbox. Raises StoreError."""
        with self._connected() as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                snapshot = queries.snapshot_of(connection, self._state_id)
            finally:
                connection.execute("ROLLBACK")
        self._definitions.note(snapshot.requests)
        self._started = {row.id for row in snapshot.executions if not row.phase.is_before_start}
        return replace(snapshot, latest_noted_start=self._former_start)

    def row_errors_in_words(self) -> AbstractContextManager[None]:
        """Raise StoreError for a row of the snapshot that the block cannot read."""
        return _row_errors_in_words(self._address)

    def commit(
        self, batch: Batch, *, appended: tuple[int, Mark] | None = None
    ) -> tuple[tuple[int, bytes], ...]:
        """Write the batch in one transaction, and return its records with their numbers.

        Besides the errors of `Store.commit`, raises LeaseLostError.
        """
        if not batch and appended is None and not self.has_changes:
            return ()
        self._require_answer()
        try:
            with self._connected() as connection:
                attempt = self._write(connection, batch, appended)
        except StoreUnwritableError:
            if self._unanswered is None:
                raise
            # Committed or not: the loop must know before it decides anything else.
            attempt = self._unanswered
            if not self._settle(attempt):
                raise
        self._note_commit(attempt)
        return attempt.records

    def note_start(self, due: int) -> None:
        """Note that an execution is about to start, if it is due later than those before."""
        if due > self._latest_start:
            self._latest_start = due
            with suppress(OSError):
                note_start(self._lock, due)

    def records_after(self, number: int, *, about_bytes: int) -> tuple[tuple[int, bytes], ...]:
        """Return about `about_bytes` of the records after `number`."""
        with self._connected() as connection:
            return queries.records_after(connection, number, about_bytes=about_bytes)

    def results_before(self, row: ResultRow | None, *, at_most: int) -> tuple[ResultRow, ...]:
        """Return results in descending order of request and end: those before `row`."""
        with self._connected() as connection:
            return queries.results_before(connection, row, at_most)

    def outputs_after(self, execution: str, *, at_most: int) -> tuple[StoredOutput, ...]:
        """Return the outputs after `execution`, in the order of their ids."""
        with self._connected() as connection:
            return outputs.outputs_after(connection, execution, at_most)

    def delete_outputs(self, executions: Collection[str]) -> None:
        """Delete outputs."""
        with self._connected() as connection:
            outputs.delete_outputs(connection, executions)

    def keep_records(self, longest: timedelta) -> None:
        """Note for how long records stay; until then `tidy` deletes none."""
        self._records_kept = longest

    def take_commands(self, now: int) -> tuple[CommandRow, ...]:
        """Take the pending commands durably, the oldest first."""
        self._require_answer()
        with self._connected() as connection:
            if not inbox.is_any_pending(connection) and not self._is_take_unanswered:
                return ()
            with connection.transaction():
                if not lease.renew(connection, self._epoch):
                    raise self._lost()
                if self._is_take_unanswered:
                    inbox.give_back(connection, self._taken)
                taken = inbox.take(connection, now)
                self._is_take_unanswered = True
            self._is_take_unanswered = False
        self._taken.update(command.id for command in taken)
        return taken

    def listen(self) -> int:
        """Return the descriptor on which notifications arrive. Raises StoreError."""
        if self._arrivals is None:
            self._arrivals = Arrivals(self._address, "runner_commands")
        return self._arrivals.descriptor

    def clear_arrivals(self) -> None:
        """Drop the notifications that have arrived."""
        if self._arrivals is not None:
            self._arrivals.clear()

    def check(self) -> None:
        """Renew the lease when it is time.

        Raises StoreUnwritableError if the database cannot be reached, and LeaseLostError.
        """
        self._require_answer()
        if self._arrivals is not None:
            self._arrivals.look()
        if self._link.is_open and time.monotonic() < self._renewed_s + lease.RENEW_S:
            return
        with self._connected() as connection:
            if not lease.renew(connection, self._epoch):
                raise self._lost()
        self._renewed_s = time.monotonic()

    def tidy(self) -> None:
        """Delete a limited number of old commands and records, once a minute."""
        if time.monotonic() < self._tidied_s + _TIDY_S:
            return
        self._tidied_s = time.monotonic()
        with suppress(StoreUnwritableError), self._connected() as connection:
            inbox.prune(connection)
            if self._records_kept is not None:
                prune_records(connection, self._records_kept)

    def hand_over(self) -> int:
        self._is_handed_over = True
        return inheritable(self._lock.fileno())

    def close(self) -> None:
        """Give up the lease, or prolong it for the program that takes over; release the lock."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._arrivals is not None:
            self._arrivals.close()
        if self._link.is_open:
            with suppress(StoreError, LeaseLostError), self._connected() as connection:
                if self._is_handed_over:
                    lease.renew(connection, self._epoch, lasts_s=lease.HANDED_OVER_S)
                else:
                    lease.give_up(connection, self._epoch)
        self._link.close()
        self._lock.close()

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Provide the connection, and word the errors of the block. Raises StoreError."""
        with errors_in_words(self._address):
            yield self._link.connection()

    def _write(
        self, connection: Connection, batch: Batch, appended: tuple[int, Mark] | None
    ) -> _Attempt:
        """Write a batch. Once COMMIT is sent, `_unanswered` has it until the answer came."""
        number, definitions = self._batch + 1, self._definitions.new_in(batch)
        starting = [
            row
            for row in batch.executions.values()
            if row.phase is Phase.STARTING and row.id not in self._started
        ]
        statements = [*batch_statements(batch), *definition_statements(definitions)]
        text = records_text(batch.records)
        # Three waits for the server: for the row of the lease, for all changes, for COMMIT.
        with connection.pipeline(), connection.transaction():
            last = lease.advance(connection, self._epoch, number, len(batch.records))
            if last is None or not inbox.answer(connection, batch.answers):
                raise self._lost()
            records = tuple(enumerate(batch.records, last + 1))
            if records:
                statements += records_statements(last, text)
            with at_once(connection):
                if appended is not None:
                    set_mark(connection, self._state_id, *appended)
                execute_all(connection, statements)
                if self._part is not None:
                    self._part.write(connection, started=starting, ended=batch.ended)
            attempt = self._unanswered = _Attempt(
                number=number, batch=batch, records=records, definitions=definitions,
                started=tuple(row.id for row in starting),
            )  # fmt: skip
        return attempt

    def _note_commit(self, attempt: _Attempt) -> None:
        self._unanswered, self._batch = None, attempt.number
        self._renewed_s = time.monotonic()
        self._definitions.note_commit(attempt.batch, attempt.definitions)
        self._started.update(attempt.started)
        self._started.difference_update(attempt.batch.ended)
        self._taken.difference_update(attempt.batch.answers)
        if attempt.records:
            self._note_last(attempt.records[-1][0])
        if self._part is not None:
            self._part.committed()

    def _settle(self, attempt: _Attempt) -> bool:
        """Find out whether a commit whose answer was lost is durable, within a few seconds.

        Return False if it is not. Raises StoreUnwritableError if the database does not
        answer, and LeaseLostError.
        """
        until_s = time.monotonic() + _UNANSWERED_S
        while True:
            try:
                is_committed = self._is_committed(attempt)
            except StoreUnwritableError:
                if time.monotonic() > until_s:
                    raise
                time.sleep(0.05)
            else:
                if not is_committed:
                    self._unanswered = None
                return is_committed

    def _is_committed(self, attempt: _Attempt) -> bool:
        with self._connected() as connection, connection.transaction():
            # The former session holds this row until its transaction has ended, one way or
            # the other, even if this node has lost its connection long before.
            row = connection.execute("SELECT epoch, batch FROM lease FOR UPDATE").fetchone()
        if row is None or row[0] != self._epoch:
            raise self._lost()
        return bool(row[1] == attempt.number)

    def _require_answer(self) -> None:
        """Settle a commit that could not be settled when it was made.

        The loop has dropped what it decided then. So if the commit was durable after all,
        this node gives up and begins anew with what the store has.
        """
        if self._unanswered is not None and self._is_committed(self._unanswered):
            raise LeaseLostError(
                f"the store {self._address.words} has a commit whose answer was lost; this"
                " node loads the store again"
            )
        self._unanswered = None

    def _lost(self) -> LeaseLostError:
        return LeaseLostError(f"another node leads now in the store {self._address.words}")

    def _note_last(self, number: int) -> None:
        # The disk may be full. Then a database that is set back goes unnoticed.
        with suppress(OSError):
            note_record(self._lock, number)


def _led(connection: Connection, address: Address, state_id: str, node: str | None) -> Lease:
    """Take the lease; a node without a name is registered. Raises StoreInUseError."""
    with connection.transaction():
        holder = Holder(
            instance=str(uuid4()),
            node=node or registered_name(connection, state_id),
            state_id=state_id,
            pid=os.getpid(),
        )
        held = lease.take(connection, holder)
        if held is not None:
            inbox.withdraw_orphans(connection)
            inbox.prune(connection)
    if held is None:
        raise StoreInUseError(in_use_words(connection, address))
    return held


def _locked(folder: Path, handed: int | None) -> BinaryIO:
    """Create a state folder if necessary; return its lock, taken.

    Raises StoreError and StoreInUseError.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return take_lock(folder, handed)
    except OSError as error:
        raise StoreError(
            f"the state folder {folder} cannot be used: {error.strerror} (--state)"
        ) from error


def _set_back(address: Address, last: int, noted: int) -> str | None:
    if noted <= last:
        return None
    return (
        f"the store {address.words} was set back: its last record is number {last}, a former"
        f" runner wrote number {noted} (an older backup was restored, or a standby server took"
        f" over that lacked it); what ran since may run again"
    )


@contextmanager
def _row_errors_in_words(address: Address) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise StoreError(
            f"the store {address.words} is damaged: a row in it cannot be read"
        ) from error
