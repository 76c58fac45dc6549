"""Reads the jobs folder in a thread, so that a hanging folder does not block the loop.

The loop waits a moment for the thread, then goes on and looks again in its next turn.
While the thread works, only the thread touches the reloader; requests to it wait.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from runner.requests.catalog.catalog_reader import CatalogReader
from runner.service.registry import Incumbents
from runner.service.reload.reloader import Reading, Reloader
from runner.system.background_calls import BackgroundThread, Pending
from runner.system.clock import Clock

PATIENCE_S = 0.1
"""How long the loop waits for a slice of reading; a slice usually takes milliseconds."""
SILENT_S = 5.0
"""After how long the silence of a folder is reported, in seconds."""
_LOOK_S = 0.05
_LAST_PATIENCE_S = 2.0


class BackgroundReader:
    """The reloader as the loop sees it. Times are the clock's elapsed seconds."""

    def __init__(self, reloader: Reloader, clock: Clock) -> None:
        self._reloader = reloader
        self._clock = clock
        self._background = BackgroundThread("reading")
        self._pending: Pending[Reading | None] | None = None
        self._begun_s = 0.0
        self._asked: list[Callable[[], None]] = []

    @property
    def is_silent(self) -> bool:
        """Whether the jobs folder has not answered for some time."""
        return self._pending is not None and self._clock.elapsed_s() - self._begun_s >= SILENT_S

    @property
    def trouble(self) -> str | None:
        """Why changes are found late or not at all; None if they are found at once."""
        if self.is_silent:
            return (
                "the jobs folder has not answered for some time; the last version read stays active"
            )
        if (reason := self._reloader.trouble) is not None and self._reloader.is_folder_lost:
            return f"the jobs folder cannot be watched; the runner keeps looking for it: {reason}"
        if reason is not None:
            return (
                "the system does not report changes, so the runner finds them by polling, a little"
                f" later: {reason}"
            )
        return None

    @property
    def is_reading(self) -> bool:
        """Whether to call `advance` whenever nothing else is due."""
        return self._pending is None and self._reloader.is_reading

    def next_s(self) -> float:
        """Return when `advance` has something to do."""
        return (
            self._reloader.next_s() if self._pending is None else self._clock.elapsed_s() + _LOOK_S
        )

    def note_change(self) -> None:
        """Read what the watcher has reported, once the folder is quiet."""
        self._ask(self._reloader.note_change)

    def look_again(self) -> None:
        """Walk the folder at once, without waiting for quiet."""
        self._ask(partial(self._reloader.look_again, at_once=True))

    def read_anew(self, reader: CatalogReader) -> None:
        """Read everything again with another reader."""
        self._ask(partial(self._reloader.read_anew, reader))

    def advance(self, incumbents: Incumbents, budget_s: float) -> Reading | None:
        """Do what is due and read for about `budget_s` seconds; return a complete reading."""
        if (
            self._pending is None
            and not self._reloader.is_reading
            and self.next_s() > self._clock.elapsed_s()
        ):
            return None
        return self._advanced(lambda: self._read_on(incumbents, budget_s), PATIENCE_S)

    def read(self, incumbents: Incumbents, *, is_stopped: Callable[[], bool]) -> Reading | None:
        """Read the whole folder, at the start; return None as soon as `is_stopped` says so."""
        while True:
            reading = self._advanced(
                lambda: self._reloader.read(incumbents), PATIENCE_S, again_s=PATIENCE_S
            )
            if reading is not None:
                return reading
            if is_stopped():
                return None

    def close(self) -> None:
        """Keep what was read, and end the thread; a folder that hangs has nothing to keep."""
        if self._pending is None or self._pending.is_over:
            self._background.begin(self._reloader.close).wait(_LAST_PATIENCE_S)
        self._background.close()

    def _advanced(
        self, call: Callable[[], Reading | None], patience_s: float, *, again_s: float = 0.0
    ) -> Reading | None:
        """Begin a call or continue the current one; return its result, None if it still runs.

        The requests that waited for the end of the call are made before its result is
        returned.
        """
        if self._pending is None:
            self._pending, self._begun_s = self._background.begin(call), self._clock.elapsed_s()
        else:
            patience_s = again_s
        if not self._pending.wait(patience_s):
            return None
        pending, self._pending = self._pending, None
        asked, self._asked = self._asked, []
        for ask in asked:
            ask()
        return pending.result()

    def _read_on(self, incumbents: Incumbents, budget_s: float) -> Reading | None:
        self._reloader.check(lambda: incumbents)
        return self._reloader.advance(budget_s)

    def _ask(self, ask: Callable[[], None]) -> None:
        if self._pending is None:
            ask()
        else:
            self._asked.append(ask)
