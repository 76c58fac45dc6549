"""What a turn of the loop decides about: fires, commands, waiting executions, deadlines."""

from __future__ import annotations

from typing import NamedTuple

from runner.lifecycle import Check, Reason
from runner.planning.alerts.check_states import News
from runner.planning.alerts.expectations import Deadline
from runner.service.assembly.parts import Parts
from runner.service.deciding import pausing
from runner.service.deciding.decision import Decision
from runner.service.deciding.mail import OwnCommands
from runner.service.executions.execution import Execution


class Work(NamedTuple):
    """What is due in a turn, apart from commands and waiting executions.

    A tuple, because every idle turn makes one.
    """

    due: list[str]
    """The requests with a fire to claim."""
    overdue: list[Execution]
    """The groups whose timeout has passed."""
    expired: list[Deadline]
    """The deadlines of alerts that have passed."""
    own_news: list[tuple[Check, News]]
    """What the runner has found about itself."""
    is_pause_over: bool

    def __bool__(self) -> bool:
        return bool(self.due or self.overdue or self.expired or self.own_news or self.is_pause_over)


class TurnDecisions:
    """Makes the decision of each turn, and commits it.

    `is_amid_burst`: more fires are due together than one decision takes.
    """

    def __init__(self, parts: Parts) -> None:
        self.is_amid_burst = False
        self._parts = parts
        self._core = parts.core
        self._clock = parts.options.clock
        self._is_firing = parts.options.is_firing
        self._own_commands = (
            OwnCommands(reload=parts.folder.reload_on_command, stopping=parts.core.stopping)
            if self._is_firing
            else None
        )

    def decide(self) -> None:
        """Decide about waiting executions, due fires and commands, commit, and apply it.

        The order matters: a fire that is due now stays due, whatever a command then says.
        So commands wait until all fires that are due together have their verdict.
        """
        core, mail = self._core, self._parts.mail
        may_fire = self._parts.folder.is_serving and not core.stopping.is_asked
        due = self._due() if may_fire else []
        self.is_amid_burst = may_fire and core.registry.has_due
        # While executions are left to the next program, that one takes the commands.
        may_take = not self.is_amid_burst and not core.stopping.leaves_executions
        if may_take and not mail.take():
            core.decisions.pause.begin()
        work = self._work(due, may_fire=may_fire)
        is_asked = mail.is_taken or self._parts.journal.has_facts
        if not work and not is_asked and not core.in_progress.is_release_due(self._clock.now()):
            return
        decision = core.decisions.begin()
        self._fill(decision, work)
        self._commit(decision, work)

    def _due(self) -> list[str]:
        return self._core.registry.take_due(
            has_claims_ahead=self._core.in_progress.has_claims_ahead
        )

    def _work(self, due: list[str], *, may_fire: bool) -> Work:
        core, now_s = self._core, self._clock.elapsed_s()
        is_store_sound = self._parts.journal.store_trouble is None
        return Work(
            due=due,
            overdue=core.dispatcher.timeouts.take_overdue(),
            expired=core.alerts.take_expired(now_s) if may_fire else [],
            # `runner exec` has no checks of its own.
            own_news=self._parts.own_checks.look(now_s, is_store_sound=is_store_sound)
            if self._is_firing
            else [],
            is_pause_over=may_fire and core.registry.is_pause_over,
        )

    def _fill(self, decision: Decision, work: Work) -> None:
        if work.is_pause_over:
            pausing.end_elapsed(decision)
        for group in work.overdue:
            decision.claims.stop(group, Reason.TIMEOUT)
        if not self._core.stopping.is_asked:
            decision.claims.release_waiting()
        for name in work.due:
            decision.fire(name)
        decision.note_expired(work.expired)
        for check, news in work.own_news:
            decision.alerts.note(None, None, news, check)
        if not self.is_amid_burst:
            self._parts.mail.answer(decision, self._own_commands)

    def _commit(self, decision: Decision, work: Work) -> None:
        core = self._core
        if core.decisions.commit(decision):
            self._parts.own_checks.accept(work.own_news)
            if not self.is_amid_burst:
                self._parts.mail.forget_answered()
        else:
            core.dispatcher.timeouts.put_back(work.overdue)
            core.alerts.put_back(work.expired, self._clock.elapsed_s())
        for name in work.due:
            if core.registry.states.get(name) is not decision.states.get(name):
                core.registry.plan_when_due(name)  # no verdict yet, or the store refused
