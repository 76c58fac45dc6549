"""An orderly stop: no more fires, then time for executions to end, then signals to them.
A second stop signal kills them at once.
"""

from __future__ import annotations

import signal as signals
from datetime import timedelta

from loguru import logger

from runner.lifecycle import Reason
from runner.service.executions.dispatching.dispatcher import Dispatcher
from runner.service.executions.in_progress import InProgress
from runner.service.executions.name_lists import running_names
from runner.system.clock import Clock


class Stopping:
    """Begins with `ask`; the loop calls `advance` until no execution is left."""

    def __init__(
        self, in_progress: InProgress, dispatcher: Dispatcher, clock: Clock, drain: timedelta
    ) -> None:
        self._in_progress = in_progress
        self._dispatcher = dispatcher
        self._clock = clock
        self._drain_s = drain.total_seconds()
        self._until_s: float | None = None
        self._is_out_of_patience = False
        self.signal: int | None = None
        self.is_handing_over = False
        """Whether another program is about to replace this one; executions go on."""

    @property
    def is_out_of_patience(self) -> bool:
        """Whether the executions were asked to end; from then on no follow-up starts either."""
        return self._is_out_of_patience

    @property
    def is_asked(self) -> bool:
        """Whether the runner is stopping; from then on nothing fires."""
        return self.is_handing_over or self.signal is not None

    def ask(self, number: signals.Signals) -> None:
        """Begin to stop; a second call kills the executions that still run."""
        self.is_handing_over = False
        if self.signal is not None:
            self._report("killing {}")
            self._dispatcher.stop_all(Reason.RUNNER_STOPPED, at_once=True)
            self._is_out_of_patience = True
        else:
            self.signal = int(number)
            again = (
                "press Ctrl-C again to kill them"
                if number is signals.SIGINT
                else "a second signal kills them"
            )
            if not self._report(f"waiting up to {self._drain_s:g} s for {{}}; {again}"):
                logger.info("stopping: nothing is running")
            self._dispatcher.drop_held()
            self._until_s = self._clock.elapsed_s() + self._drain_s

    def hand_over(self) -> None:
        """Begin to make way for another program, unless the runner is stopping."""
        self.is_handing_over = self.signal is None

    def advance(self) -> None:
        """Ask the remaining executions to end once their time is over."""
        if (
            self._until_s is None
            or self._is_out_of_patience
            or self._clock.elapsed_s() < self._until_s
        ):
            return
        self._is_out_of_patience = True
        self._report("the drain time is over, asking {} to end")
        self._dispatcher.stop_all(Reason.RUNNER_STOPPED)

    def _report(self, words: str) -> bool:
        """Report the executions that still run. Return False if there are none."""
        names = running_names(self._in_progress)
        if names:
            logger.info("stopping: {}", words.format(names))
        return bool(names)

    def next_s(self) -> float | None:
        """Return when `advance` has something to do, in elapsed seconds."""
        return None if self._is_out_of_patience else self._until_s
