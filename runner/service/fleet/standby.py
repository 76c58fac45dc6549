"""A node that stands by: it waits for the lease, and keeps its children and its log.

The main thread only waits, so that a signal is answered at once and the service manager
hears from it, however long the database takes.
"""

from __future__ import annotations

import select
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

from loguru import logger

from runner.errors import RunnerError, StoreUnwritableError
from runner.service.beside.child_command import ChildCommand
from runner.service.fleet.clocks import LEAST_WRONG_OFFSET_S, clock_trouble
from runner.service.fleet.node_link import Look, NodeLink
from runner.service.stop_signals import Signals
from runner.service.systemd import Notifier
from runner.service.trouble import RETRY_S, Cooldown, TroubleReports
from runner.store.rows import Wish
from runner.system.background_calls import ContinuedCalls
from runner.system.clock import Clock
from runner.system.stalls import WATCH

_LOOK_S = 0.1
_LAST_PATIENCE_S = 2.0
"""How long a stop waits for the database, in seconds: longer than a look without news."""


class Outcome(Enum):
    """What a node does after it stood by."""

    LEAD = auto()
    STOP = auto()
    RESTART = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standby:
    """This node while it does not lead. `run` returns when it may, or is to stop."""

    link: NodeLink
    clock: Clock
    children: Sequence[ChildCommand]
    joined: Callable[[str], None]
    """Gets this node's name once it is registered."""
    notifier: Notifier
    not_before_s: float = 0.0
    """When it may lead at the earliest, in elapsed seconds."""

    def run(self) -> Outcome:
        """Stand by until the lease is free, or this node is asked to stop or to restart.

        Raises RefusedError and StoreError for a problem that does not pass.
        """
        calls = ContinuedCalls("standby")
        try:
            with Signals() as signals:
                outcome = self._wait(signals, calls)
                if outcome is None:
                    self._close_for_stop(calls)
                    return Outcome.STOP
                if not self._has_closed(signals, calls):
                    return Outcome.STOP
                if outcome is Outcome.LEAD:
                    signals.put_back()
                return outcome
        finally:
            calls.close()
            WATCH.note_end()

    def _has_closed(self, signals: Signals, calls: ContinuedCalls) -> bool:
        """Close the link, however long the database takes; return False to stop instead.

        Until then its thread may still use the log.
        """
        while not self._is_stop_asked(signals):
            WATCH.beat()
            try:
                calls.result(self.link.close, patience_s=_LOOK_S)
            except TimeoutError:
                continue
            return True
        return False

    def _close_for_stop(self, calls: ContinuedCalls) -> None:
        """Close the link if the database answers soon; else the process's end does it."""
        with suppress(TimeoutError, RunnerError):
            if calls.lasts_s:
                with suppress(RunnerError):
                    calls.result(self.link.look, patience_s=_LAST_PATIENCE_S)
            calls.result(self.link.close, patience_s=_LAST_PATIENCE_S)

    def _wait(self, signals: Signals, calls: ContinuedCalls) -> Outcome | None:
        """Stand by; return None if a signal asks for a stop, which waits for no database."""
        reports, pause, leader = TroubleReports(), Cooldown(self.clock, lasts_s=RETRY_S), _Leader()
        begun_s, has_joined = self.clock.elapsed_s(), False
        while True:
            WATCH.beat()
            if self._is_stop_asked(signals):
                return None
            for child in self.children:
                child.advance()
            self.notifier.ready(begun_s=begun_s)
            self.notifier.standing_by(leader.name)
            if pause.is_on:
                select.select([signals.descriptor], [], [], min(pause.left_s, _LOOK_S))
                continue
            try:
                look = calls.result(self.link.look, patience_s=_LOOK_S)
            except TimeoutError:
                continue
            except StoreUnwritableError as error:
                reports.report({"the store": str(error)})
                pause.begin()
                continue
            reports.report({"the store": None, **self._troubles(look)})
            if self.link.name is not None and not has_joined:
                has_joined = True
                self.joined(self.link.name)
            leader.note(look, self.link.name)
            if look.asked is not None:
                return self._outcome_of(look.asked)
            if self._may_lead(look):
                return Outcome.LEAD

    def _outcome_of(self, wish: Wish) -> Outcome:
        if wish is Wish.RESTART:
            self.notifier.reloading()
            logger.info("this node restarts: the installed program takes over")
            return Outcome.RESTART
        self._note_stop()
        return Outcome.STOP

    def _may_lead(self, look: Look) -> bool:
        lease = look.lease
        is_own = lease.node == self.link.name and lease.state_id == self.link.state_id
        return (
            (lease.is_over or is_own)
            and abs(look.clock_offset_s) <= LEAST_WRONG_OFFSET_S
            and self.clock.elapsed_s() >= self.not_before_s
        )

    def _troubles(self, look: Look) -> dict[str, str | None]:
        return {
            "the monitor log": self.link.log_trouble,
            "this machine's clock": clock_trouble(look.clock_offset_s),
        }

    def _is_stop_asked(self, signals: Signals) -> bool:
        for number in signals.take():
            if number is signal.SIGHUP:  # a standby reads no folder
                self.notifier.reloading()
                self.notifier.ready(begun_s=self.clock.elapsed_s())
            else:
                self._note_stop()
                return True
        return False

    def _note_stop(self) -> None:
        WATCH.note_stop()
        self.notifier.stopping()
        logger.info("stopping: this node stands by")


@dataclass(slots=True)
class _Leader:
    """Reports on the console who leads."""

    name: str | None = None
    is_known: bool = False

    def note(self, look: Look, own: str | None) -> None:
        name = None if look.lease.is_over else look.lease.node
        if self.is_known and name == self.name:
            return
        self.name, self.is_known = name, True
        if name is not None and name != own:
            logger.info("{} stands by; {} leads", own, name)
