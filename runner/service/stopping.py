"""An orderly stop: no more fires, time to end for what runs, then an end for it; a
second signal hurries.
"""

from __future__ import annotations

import signal as signals
from datetime import timedelta

from loguru import logger

from runner.lifecycle import Reason
from runner.service.clock import Clock
from runner.service.executions.dispatch import Dispatcher
from runner.service.self_report import listed


class Stopping:
    """Begins when it is asked; the loop calls `advance` and looks whether anything still runs."""

    def __init__(self, dispatcher: Dispatcher, clock: Clock, drain: timedelta) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._drain_s = drain.total_seconds()
        self._until_s: float | None = None
        self._is_out_of_patience = False
        self.signal: int | None = None

    @property
    def is_out_of_patience(self) -> bool:
        """Whether what runs was asked to end: nothing begins any more, not even what
        follows an end.
        """
        return self._is_out_of_patience

    @property
    def is_asked(self) -> bool:
        """Whether the runner is to stop: nothing fires any more."""
        return self.signal is not None

    def ask(self, number: signals.Signals) -> None:
        """Begin to stop; asked a second time, end at once what still runs."""
        if self.is_asked:
            self._say("killing {}")
            self._dispatcher.stop_all(Reason.RUNNER_STOPPED, at_once=True)
            self._is_out_of_patience = True
        else:
            self.signal = int(number)
            again = (
                "press Ctrl-C again to kill them"
                if number is signals.SIGINT
                else "a second signal kills them"
            )
            if not self._say(f"waiting up to {self._drain_s:g} s for {{}}; {again}"):
                logger.info("stopping: nothing runs")
            self._until_s = self._clock.elapsed_s() + self._drain_s

    def advance(self) -> None:
        """Ask what still runs to end, once the time for ending by itself is over."""
        if (
            self._until_s is None
            or self._is_out_of_patience
            or self._clock.elapsed_s() < self._until_s
        ):
            return
        self._is_out_of_patience = True
        self._say("the time is over for {}")
        self._dispatcher.stop_all(Reason.RUNNER_STOPPED)

    def _say(self, words: str) -> bool:
        """Say what is done about the executions that still run; False if there are none."""
        names = listed(self._dispatcher.running_names())
        if names:
            logger.info("stopping: {}", words.format(names))
        return bool(names)

    def next_s(self) -> float | None:
        """Return when `advance` has something to do."""
        return None if self._is_out_of_patience else self._until_s
