"""How a worker stops: it takes nothing more, lets its executions end, then ends them. Or it
leaves them to the program that replaces this one.
"""

from __future__ import annotations

import signal
from datetime import timedelta

from loguru import logger

from runner.lifecycle import Reason
from runner.store.rows import Wish
from runner.system.clock import Clock
from runner.values import counted
from runner.worker.executions import Executions
from runner.worker.room import Room


class Stopping:
    """Begins with `drain`, `ask`, `leave_when_idle` or `restart`; the loop calls `advance`."""

    def __init__(
        self, executions: Executions, room: Room, clock: Clock, patience: timedelta
    ) -> None:
        self._executions = executions
        self._room = room
        self._clock = clock
        self._patience_s = patience.total_seconds()
        self._until_s: float | None = None
        self._idle_since_s: float | None = None
        self.is_leaving = False
        """Whether the worker leaves once nothing runs any more."""
        self.is_restarting = False
        """Whether another program is about to replace this one; executions go on."""

    def drain(self, why: str) -> None:
        """Take nothing more; what runs goes on, and the worker stays."""
        if not self._room.is_closed:
            logger.info("takes nothing more: {}", why)
            self._room.close()

    def leave_when_idle(self) -> None:
        """Take nothing more, and leave after the last end, whenever that is."""
        self.drain("its `runner start` has ended; it leaves after its last execution")
        self.is_leaving, self.is_restarting = True, False

    def restart(self) -> None:
        """Take and start nothing more until another program replaces this one.

        A worker that leaves goes on with that.
        """
        if not self.is_leaving and not self.is_restarting:
            logger.info("this worker restarts: the installed program takes over")
            self._room.close()
            self.is_restarting = True

    def carry_out(self, wish: Wish) -> None:
        """Do what a person asked for: a stop has as much time as one by a signal."""
        match wish:
            case Wish.RESTART:
                self.restart()
            case Wish.STOP if not self.is_leaving:
                self.ask(signal.SIGTERM)

    def ask(self, number: signal.Signals) -> None:
        """Stop; a second call kills what still runs."""
        self.is_restarting = False
        running = counted(len(self._executions.running), "execution")
        if self.is_leaving and self._until_s is not None:
            logger.info("stopping: killing {}", running)
            self._executions.stop_all(Reason.RUNNER_STOPPED, at_once=True)
            return
        again = "press Ctrl-C again" if number is signal.SIGINT else "a second signal"
        self._room.close()
        logger.info(
            "takes nothing more: stopping; waits up to {:g} s for {}; {} kills",
            self._patience_s,
            running,
            again,
        )
        self.is_leaving = True
        self._until_s = self._clock.elapsed_s() + self._patience_s

    def advance(self) -> None:
        """Ask what still runs to end once its time is over."""
        now_s = self._clock.elapsed_s()
        if self._executions.running:
            self._idle_since_s = None
            if self._until_s is not None and self._until_s <= now_s:
                self._executions.stop_all(Reason.RUNNER_STOPPED)
        elif self._idle_since_s is None:
            self._idle_since_s = now_s

    def is_late(self, within_s: float) -> bool:
        """Return whether nothing has run for longer than `within_s`."""
        since_s = self._idle_since_s
        return since_s is not None and self._clock.elapsed_s() - since_s > within_s
