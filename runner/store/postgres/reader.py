"""Another program's view of a store in PostgreSQL. Reads the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from runner.store.postgres.connecting.address import Address
from runner.store.postgres.connecting.connection import Connection, connect, errors_in_words
from runner.store.postgres.content import outputs, queries
from runner.store.postgres.fleet import nodes
from runner.store.postgres.migrating import require_current, version_of
from runner.store.protocol import OutputPiece
from runner.store.rows import AlertRow, Coming, ExecutionRow, Fleet, ResultRow, Snapshot
from runner.store.state_id import state_id_of

Answer = TypeVar("Answer")
_LONGEST_S = 300
"""How long a reader may pause between two questions."""


class PostgresReader:
    """A view of a store (see `StoreReader`): one read-only transaction."""

    def __init__(self, address: Address, folder: Path) -> None:
        self._address = address
        self._state_id = None
        with suppress(OSError):
            self._state_id = state_id_of(folder)
        with self._words():
            self._connection = _begin_reading(address)

    def executions(self) -> tuple[ExecutionRow, ...]:
        """Return all executions that have not ended, in the order of their ids."""
        return self._ask(queries.executions_of, ())

    def offers(self) -> dict[str, str]:
        """Return the queue of each execution that is offered and that no worker has taken."""
        return self._ask(queries.offers_of, {})

    def waiting_records(self) -> Iterator[bytes]:
        """Yield the lines that the monitor log of this node may still lack, oldest first."""
        if self._connection is not None:
            with self._words():
                numbers, _ = queries.outbox_of(self._connection, self._state_id)
                if numbers:
                    yield from queries.every_record_after(self._connection, numbers.start - 1)

    def is_in_progress(self, execution: str) -> bool:
        """Return whether an execution has not ended."""
        return self._ask(partial(queries.has_execution, execution=execution), False)

    def last_results(self) -> tuple[ResultRow, ...]:
        """Return the last result of each request, in the order of their names."""
        return self._ask(queries.last_results_of, ())

    def statuses(self) -> dict[str, int]:
        """Return how many requests have each status, in the order of their first names."""
        return self._ask(queries.statuses_of, {})

    def coming(self, at_most: int, *, by_due: bool = False) -> tuple[Coming, ...]:
        """Return the earliest of the next fires; with `by_due`, the fires due first."""
        return self._ask(partial(queries.coming_of, at_most=at_most, by_due=by_due), ())

    def backfills(self) -> dict[str, str]:
        """Return the JSON of each backfill that is not over, by the name of its request."""
        return self._ask(queries.backfills_of, {})

    def results_of(self, request: str) -> tuple[ResultRow, ...]:
        """Return the results of a request, the newest first."""
        return self._ask(partial(queries.results_of, request=request), ())

    def output_pieces(self, execution: str) -> tuple[OutputPiece, ...]:
        """Return the pieces of an output, in order."""
        return self._ask(partial(outputs.pieces_of, execution=execution), ())

    def output_piece(self, execution: str, number: int) -> bytes:
        """Return the bytes of a piece of an output; none if it was deleted."""
        return self._ask(partial(outputs.piece_of, execution=execution, number=number), b"")

    def output_sizes(self) -> dict[str, int]:
        """Return how many bytes of output the store has of each execution."""
        return self._ask(outputs.sizes_of, {})

    def outputs_of_members(self, group: str) -> tuple[tuple[str, str], ...]:
        """Return the id and the name of each member of a group that has an output."""
        return self._ask(partial(outputs.members_of, group=group), ())

    def snapshot(self) -> Snapshot:
        """Return the content, apart from the lines of the outbox."""
        nothing = Snapshot(requests=(), executions=(), outbox=range(0), mark=None, meta={})
        return self._ask(partial(queries.snapshot_of, state_id=self._state_id), nothing)

    def alerts(self) -> tuple[AlertRow, ...]:
        """Return what is known of the checks, by request and check."""
        return self._ask(queries.alerts_of, ())

    def meta(self) -> dict[str, str]:
        """Return what the owner has noted about itself."""
        return self._ask(queries.meta_of, {})

    def fleet(self) -> Fleet | None:
        """Return who leads the fleet, and its nodes."""
        return self._ask(nodes.fleet, None)

    def close(self) -> None:
        """End the transaction and the connection."""
        if self._connection is not None:
            self._connection.close()

    def _ask(self, question: Callable[[Connection], Answer], nothing: Answer) -> Answer:
        if self._connection is None:
            return nothing
        with self._words():
            return question(self._connection)

    @contextmanager
    def _words(self) -> Iterator[None]:
        with errors_in_words(self._address):
            yield


def _begin_reading(address: Address) -> Connection | None:
    """Return a connection inside a read transaction, or None if there is no store yet."""
    with ExitStack() as resources:
        connection = resources.enter_context(closing(connect(address, what="runner reader")))
        connection.execute(f"SET idle_in_transaction_session_timeout = '{_LONGEST_S}s'".encode())
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if version_of(connection, address) == 0:
            return None
        require_current(connection, address)
        resources.pop_all()
        return connection
