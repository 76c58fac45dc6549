"""What the rest of the program may ask of a store, whatever database is behind it.

A store has three sides. Its one owner, the runner, loads it and commits to it (`Store`).
Other programs look at it (`StoreReader`) and leave commands for the owner (`Mailbox`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import NamedTuple, Protocol

from runner.store.rows import (
    AlertRow,
    Batch,
    Coming,
    CommandRow,
    ExecutionRow,
    Fleet,
    Mark,
    ResultRow,
    Snapshot,
)

MOST_COMMANDS = 1000
"""How many commands are taken at once; further ones wait for the next turn."""


class DuplicateClaimError(AssertionError):
    """A fire was claimed a second time: a bug, never a user's mistake."""


class OutputPiece(NamedTuple):
    """A piece of an output in the store."""

    number: int
    size: int
    """Bytes."""


class StoredOutput(NamedTuple):
    """What the store has of an execution's output; a group's is that of its members."""

    execution: str
    size: int
    parts: int
    """How many executions it is the output of."""


class Store(Protocol):
    """The owner's side, for one thread. While it is open, no other program can own it."""

    @property
    def notice(self) -> str | None:
        """What happened to the store since its last owner left it; None if nothing."""

    @property
    def hindrance(self) -> str | None:
        """A problem that does not stop the store but should be fixed; None without one."""

    @property
    def has_changes(self) -> bool:
        """Whether a commit without a batch has something to write, as in a fleet."""
        ...

    def load(self) -> Snapshot:
        """Return the whole content, apart from the lines of the outbox. Raises StoreError."""

    def row_errors_in_words(self) -> AbstractContextManager[None]:
        """Raise StoreError for a row of the snapshot that the block cannot read."""

    def commit(
        self, batch: Batch, *, appended: tuple[int, Mark] | None = None
    ) -> tuple[tuple[int, bytes], ...]:
        """Write the batch in one transaction, and return its records with their numbers.

        The batch is durable when this returns. `appended` (number, mark) says that the
        log has every record up to that number and now ends at the mark. Those records
        leave the outbox; the number 0 only sets the mark. Executions are written before
        the rows of `ended` are deleted, so an execution may be in both.

        Raises StoreUnwritableError or DuplicateClaimError; then nothing is written, and
        after the former the same call may be repeated.
        """

    def note_start(self, due: int) -> None:
        """Note before the start of an execution that it and those `due` earlier may run.

        The note outlives this process, but perhaps not the machine. It costs no commit.
        """

    def records_after(self, number: int, *, about_bytes: int) -> tuple[tuple[int, bytes], ...]:
        """Return the records of the outbox after `number`, about `about_bytes` of them.

        The last record may exceed the limit. Raises StoreUnwritableError.
        """

    def results_before(self, row: ResultRow | None, *, at_most: int) -> tuple[ResultRow, ...]:
        """Return results in descending order of request and end: those before `row`.

        Without a row they are the last ones. Raises StoreUnwritableError.
        """

    def hand_over(self) -> int:
        """Return a descriptor that keeps the ownership over an execve, after `close`, too."""
        ...

    def outputs_after(self, execution: str, *, at_most: int) -> tuple[StoredOutput, ...]:
        """Return outputs that the store has: those after `execution`, in the order of the ids.

        There are none if outputs are files in the state folder. Raises
        StoreUnwritableError.
        """
        ...

    def delete_outputs(self, executions: Collection[str]) -> None:
        """Delete outputs that the store has. Raises StoreUnwritableError."""

    def keep_records(self, longest: timedelta) -> None:
        """Note for how long records stay that every log has, if the store keeps such ones."""

    def take_commands(self, now: int) -> tuple[CommandRow, ...]:
        """Take the pending commands durably, the oldest first; at most `MOST_COMMANDS`.

        Commands whose deadline is before `now` are withdrawn, and malformed rows get a
        refusal as their answer. A taken command cannot be withdrawn while this store is
        open.

        Commit what a command changes together with its answer, and do what it does
        outside the store after that commit. Then a command is either applied or withdrawn,
        whenever the runner dies. Raises StoreUnwritableError; then nothing is taken.
        """

    def listen(self) -> int:
        """Return a descriptor that becomes readable when a command was posted.

        It only makes the owner look sooner: `take_commands` finds every command without it.
        The store closes it. Raises StoreError.
        """

    def clear_arrivals(self) -> None:
        """Make the descriptor of `listen` unreadable until the next command is posted."""

    def check(self) -> None:
        """Raise StoreUnwritableError if another program removed or changed the store."""

    def tidy(self) -> None:
        """Do postponed work while the runner is idle. An error is not raised here: the next
        commit meets the same problem.
        """

    def close(self) -> None:
        """Give up the ownership."""


class StoreReader(Protocol):
    """Another program's view of a store at one moment: all answers belong to that moment.

    A missing store gives empty results. Make a reader for one question, then close it:
    an open one hinders the owner. Every method raises StoreError if the store cannot be
    read.
    """

    def executions(self) -> tuple[ExecutionRow, ...]:
        """Return all executions that have not ended, in the order of their ids."""

    def offers(self) -> dict[str, str]:
        """Return the queue of each execution that is offered to workers and that none has
        taken; none without a fleet.
        """
        ...

    def waiting_records(self) -> Iterator[bytes]:
        """Yield the lines that the monitor log may still lack, oldest first."""

    def is_in_progress(self, execution: str) -> bool:
        """Return whether an execution has not ended."""

    def last_results(self) -> tuple[ResultRow, ...]:
        """Return the last result of each request, in the order of their names."""

    def statuses(self) -> dict[str, int]:
        """Return how many requests have each status, in the order of their first names.

        The runner's own requests count, without those whose file is gone.
        """

    def coming(self, at_most: int, *, by_due: bool = False) -> tuple[Coming, ...]:
        """Return the earliest of the requests' next fires; with `by_due`, those due first."""

    def backfills(self) -> dict[str, str]:
        """Return the JSON of each backfill that is not over, by the name of its request."""

    def results_of(self, request: str) -> tuple[ResultRow, ...]:
        """Return the results of a request, the newest first."""

    def output_pieces(self, execution: str) -> tuple[OutputPiece, ...]:
        """Return the pieces of an output, in order; none if outputs are files."""

    def output_piece(self, execution: str, number: int) -> bytes:
        """Return the bytes of a piece of an output; none if it was deleted."""
        ...

    def output_sizes(self) -> dict[str, int]:
        """Return how many bytes of output the store has of each execution, with those of its
        members; none if outputs are files.
        """

    def outputs_of_members(self, group: str) -> tuple[tuple[str, str], ...]:
        """Return the id of each member of a group that has an output, with the name of the
        file that it would have.
        """

    def snapshot(self) -> Snapshot:
        """Return the content, apart from the lines of the outbox."""

    def alerts(self) -> tuple[AlertRow, ...]:
        """Return what is known of the checks, by request and check."""

    def meta(self) -> dict[str, str]:
        """Return what the owner has noted about itself."""

    def fleet(self) -> Fleet | None:
        """Return who leads the fleet, and its nodes; None without one."""

    def close(self) -> None:
        """End the view."""


class Mailbox(Protocol):
    """The way of a command to the owner. Every method raises StoreError if it is unusable.

    Only the row of a command counts, and it is applied or withdrawn, never both.
    """

    def post(self, command: CommandRow) -> None:
        """Write a pending command and wake the owner.

        This does not check whether there is an owner; only an answer shows that. Raises
        StoreMissingError if no runner has created the store yet.
        """

    def answer_to(self, command: str) -> str | None:
        """Return the answer to a command; None if there is none yet."""

    def withdraw(self, command: str) -> bool:
        """Take a command back; return True if it is not and never will be applied.

        False means that the owner was faster: there is an answer, or one will come. If none
        comes, call this again: a command that an owner took and left unanswered when it
        died is withdrawn like a pending one.
        """

    def has_owner(self) -> bool:
        """Return whether a runner owns the store now."""
