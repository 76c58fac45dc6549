"""An orderly stop: no more fires, then time for executions to end, then signals to them.
A second stop signal kills them at once. Or the executions are left to the next program.
"""

from __future__ import annotations

import signal as signals
from datetime import timedelta
from enum import Enum, auto

from loguru import logger

from runner.lifecycle import Reason
from runner.service.executions.dispatching.dispatcher import Dispatcher
from runner.service.executions.in_progress import InProgress
from runner.service.executions.name_lists import running_names
from runner.system.clock import Clock

_AGAIN = {signals.SIGINT: "press Ctrl-C again to kill them"}


class _Stop(Enum):
    """How far a stop is, and of which kind it is."""

    DRAINING = auto()  # executions have time to end
    ENDING = auto()  # they were asked to end; no follow-up starts either
    LEAVING = auto()  # they go on, and the next runner takes them over
    HANDING_OVER = auto()  # they go on, and another program replaces this one


class Stopping:
    """Begins with a signal or a command; the loop calls `advance` until it is over."""

    def __init__(
        self, in_progress: InProgress, dispatcher: Dispatcher, clock: Clock, drain: timedelta
    ) -> None:
        self._in_progress = in_progress
        self._dispatcher = dispatcher
        self._clock = clock
        self._drain_s = drain.total_seconds()
        self._until_s = 0.0
        self._stop: _Stop | None = None
        self._by: str | None = None
        self.signal: int | None = None
        """The signal that asked for the stop; None for a command."""

    @property
    def is_asked(self) -> bool:
        """Whether the runner is stopping; from then on nothing fires."""
        return self._stop is not None

    @property
    def is_out_of_patience(self) -> bool:
        """Whether the executions were asked to end; from then on no follow-up starts either."""
        return self._stop is _Stop.ENDING

    @property
    def is_handing_over(self) -> bool:
        """Whether another program is about to replace this one; executions go on."""
        return self._stop is _Stop.HANDING_OVER

    @property
    def leaves_executions(self) -> bool:
        """Whether the runner ends without waiting for executions."""
        return self._stop in (_Stop.LEAVING, _Stop.HANDING_OVER)

    @property
    def message(self) -> str | None:
        """What the record of the stop says for people."""
        if self._stop is _Stop.HANDING_OVER:
            return "the installed program takes over; executions go on"
        parts = [f"`runner stop` by {self._by}"] if self._by else []
        if self._stop is _Stop.LEAVING:
            parts.append("executions go on for the next runner")
        return "; ".join(parts) or None

    def ask(self, number: signals.Signals) -> None:
        """Begin to stop for a signal; a second one kills the executions that still run.

        In a fleet, executions are their workers', and go on.
        """
        match self._stop:
            case None | _Stop.HANDING_OVER if self._dispatcher.is_local:
                self.signal = int(number)
                self._drain(_AGAIN.get(number, "a second signal kills them"))
            case None | _Stop.HANDING_OVER:
                self.signal = int(number)
                self.leave()
            case _Stop.DRAINING | _Stop.ENDING:
                self._report("killing {}")
                self._dispatcher.stop_all(Reason.RUNNER_STOPPED, at_once=True)
                self._stop = _Stop.ENDING

    def stop(self, *, by: str) -> None:
        """Begin to stop because a person asked, unless a stop has begun."""
        if self._stop is None and self._dispatcher.is_local:
            self._by = by
            self._drain("SIGTERM kills them")
        else:
            self.leave(by=by)

    def leave(self, *, by: str | None = None) -> None:
        """Begin to stop without the executions, unless a stop has begun."""
        if self._stop is None:
            self._by, self._stop = by, _Stop.LEAVING
            self._report("executions go on: {}")

    def hand_over(self) -> None:
        """Begin to make way for another program, unless a stop has begun."""
        self._stop = self._stop or _Stop.HANDING_OVER

    def advance(self) -> None:
        """Ask the remaining executions to end once their time is over."""
        if self._stop is _Stop.DRAINING and self._clock.elapsed_s() >= self._until_s:
            self._stop = _Stop.ENDING
            self._report("the drain time is over, asking {} to end")
            self._dispatcher.stop_all(Reason.RUNNER_STOPPED)

    def next_s(self) -> float | None:
        """Return when `advance` has something to do, in elapsed seconds."""
        return self._until_s if self._stop is _Stop.DRAINING else None

    def _drain(self, hint: str) -> None:
        self._stop = _Stop.DRAINING
        if not self._report(f"waiting up to {self._drain_s:g} s for {{}}; {hint}"):
            logger.info("stopping: nothing is running")
        self._dispatcher.drop_held()
        self._until_s = self._clock.elapsed_s() + self._drain_s

    def _report(self, words: str) -> bool:
        """Report the executions that still run. Return False if there are none."""
        names = running_names(self._in_progress)
        if names:
            logger.info("stopping: {}", words.format(names))
        return bool(names)
