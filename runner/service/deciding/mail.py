"""The commands that reach a runner through its store. Each is taken once, and its answer
is committed with the decision that carries it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from runner.commands import OWN_COMMANDS, Answer, Command, CommandKind, command_of
from runner.errors import RefusedError, StoreError
from runner.service.deciding.answering import answer
from runner.service.deciding.decision import Decision
from runner.service.deciding.web_changes import record_web_change
from runner.service.stopping import Stopping
from runner.store.protocol import MOST_COMMANDS, Store
from runner.store.rows import CommandRow
from runner.system.clock import Clock
from runner.values import to_microseconds

_ONLY_EXEC = Answer(
    is_done=False,
    lines=(
        "only `runner exec` is running, which neither reads the folder again nor restarts; it"
        " ends with its execution",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCommands:
    """The commands to the runner itself, which no decision carries out."""

    reload: Callable[[], None]
    """Begins a reading of the folder. Raises RefusedError."""
    stopping: Stopping


class Mail:
    """Holds the commands that the store handed over, until the store has their answers.

    A reload is answered by a later reading of the folder.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.is_waiting = True
        self._store = store
        self._clock = clock
        self._taken: list[CommandRow] = []
        self._reloads: dict[str, tuple[Command, float]] = {}

    @property
    def is_taken(self) -> bool:
        """Whether taken commands still need an answer."""
        return bool(self._taken)

    def take(self) -> bool:
        """Take the commands that arrived. Return False if the store refused: they wait there."""
        if self.is_waiting:
            try:
                taken = self._store.take_commands(to_microseconds(self._clock.now()))
            except StoreError:
                return False
            self._taken += taken
            # A full batch means that there may be more.
            self.is_waiting = len(taken) == MOST_COMMANDS
        return True

    def answer(self, decision: Decision, own: OwnCommands | None) -> None:
        """Carry out the taken commands, as part of a decision.

        `own` is None for `runner exec`, which neither reads the folder again nor restarts.
        """
        for row in self._taken:
            if (answered := self._answer(row, decision, own)) is not None:
                decision.batch.answers[row.id] = answered.text()

    def forget_answered(self) -> None:
        """Drop the taken commands, because the store has their answers."""
        self._taken.clear()

    def reloads_before(self, begun_s: float) -> dict[str, Command]:
        """Return the reloads that a reading answers; `begun_s` is its start in elapsed seconds.

        A reading answers only reloads that arrived before it began. The keys are the rows.
        """
        return {row: command for row, (command, at_s) in self._reloads.items() if at_s <= begun_s}

    def forget_reloads(self, rows: Iterable[str]) -> None:
        """Drop answered reloads."""
        for row in rows:
            del self._reloads[row]

    def _answer(
        self, row: CommandRow, decision: Decision, own: OwnCommands | None
    ) -> Answer | None:
        try:
            command = command_of(row)
            if command.kind not in OWN_COMMANDS:
                return _carried_out(command, decision)
            if own is None:
                return _ONLY_EXEC
            if command.kind is not CommandKind.RELOAD:
                return _stopping(command, own.stopping)
            own.reload()
        except RefusedError as error:
            return Answer(is_done=False, lines=(str(error),))
        # No answer yet: the reading that begins after this moment brings it.
        self._reloads[row.id] = (command, self._clock.elapsed_s())
        return None


def _stopping(command: Command, stopping: Stopping) -> Answer:
    match command.kind:
        case CommandKind.RESTART:
            stopping.hand_over()
        case CommandKind.LEAVE:
            stopping.leave(by=command.requested_by)
        case _:
            stopping.stop(by=command.requested_by)
    return Answer(is_done=True)


def _carried_out(command: Command, decision: Decision) -> Answer:
    """Carry out a command, and record it if it came from the page. Raises RefusedError."""
    before = len(decision.batch.records)
    answered = answer(command, decision)
    is_recorded = len(decision.batch.records) > before
    record_web_change(command, answered, decision, is_recorded=is_recorded)
    return answered
