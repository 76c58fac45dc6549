"""The commands that reach a runner through its store: taken once, answered with the
decision that carries them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from runner.commands import Answer, Command, Kind, command_of
from runner.errors import RefusedError
from runner.service.answering import answer
from runner.service.clock import Clock
from runner.service.decision import Decision
from runner.service.executions.in_progress import Book
from runner.store.database import MOST_COMMANDS, Store
from runner.store.rows import CommandRow
from runner.values import to_microseconds

_NOTHING_TO_RELOAD = Answer(
    is_done=False, lines=("no runner is running, only `runner exec`: nothing is read again",)
)


class Mail:
    """What was taken is ours to answer until the store has the answer; a reload is
    answered by a later reading.

    `reload` begins one, or raises RefusedError; None where nothing is ever read again.
    """

    def __init__(
        self, store: Store, book: Book, clock: Clock, *, reload: Callable[[], None] | None
    ) -> None:
        self.is_waiting = True
        self._store = store
        self._book = book
        self._clock = clock
        self._reload = reload
        self._taken: list[CommandRow] = []
        self._reloads: dict[str, tuple[Command, float]] = {}

    @property
    def is_taken(self) -> bool:
        """Whether commands are ours to answer."""
        return bool(self._taken)

    def take(self) -> None:
        """Take the commands that came. Raises StoreError; then they wait on."""
        if self.is_waiting:
            taken = self._store.take_commands(to_microseconds(self._clock.now()))
            self._taken += taken
            self.is_waiting = len(taken) == MOST_COMMANDS

    def answer(self, decision: Decision) -> None:
        """Carry out what was taken, as part of a decision."""
        for row in self._taken:
            if (answered := self._answer(row, decision)) is not None:
                decision.batch.answers[row.id] = answered.text()

    def forget_answered(self) -> None:
        """Strike out what was taken: the store has the answers."""
        self._taken.clear()

    def reloads_before(self, begun_s: float) -> dict[str, Command]:
        """Return the reloads, by row, that a reading begun at `begun_s` (elapsed seconds) answers."""
        return {row: command for row, (command, at_s) in self._reloads.items() if at_s <= begun_s}

    def forget_reloads(self, rows: Iterable[str]) -> None:
        """Strike out answered reloads."""
        for row in rows:
            del self._reloads[row]

    def _answer(self, row: CommandRow, decision: Decision) -> Answer | None:
        try:
            command = command_of(row)
            if command.kind is not Kind.RELOAD:
                return answer(command, decision, self._book)
            if self._reload is None:
                return _NOTHING_TO_RELOAD
            self._reload()
        except RefusedError as error:
            return Answer(is_done=False, lines=(str(error),))
        self._reloads[row.id] = (command, self._clock.elapsed_s())
        return None
