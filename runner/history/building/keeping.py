"""Starts the program that keeps the history index, and starts it again if it ends.

The program is a process of its own: it decodes a million records, and a page must not
wait for that. Touches processes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

from runner.history.building import keeper
from runner.system.threads import OwnThread

_COMMAND = (sys.executable, "-P", keeper.__file__)
_END_S = 10.0


class Keeping:
    """Keeps the index of a state folder up to date until it is closed. A context manager."""

    def __init__(
        self, state: Path, log: Path, report: Callable[[str], object] = lambda _: None
    ) -> None:
        """`report` gets a sentence whenever the index cannot be kept up to date."""
        self._report = report
        self._arguments = (str(state.absolute()), str(log.absolute()))
        self._is_closed = Event()
        self._process: subprocess.Popen[str] | None = None
        self._trouble = ""
        self._thread = OwnThread(target=self._run, name="history keeper", daemon=True)

    @property
    def trouble(self) -> str | None:
        """Why the index is not kept up to date, as a sentence; None if it is."""
        return self._trouble or None

    def start(self) -> None:
        """Start the program. What fails is tried again, and reported as `trouble`."""
        self._thread.start()

    def close(self) -> None:
        """End the program: its standard input ends. Wait for it."""
        self._is_closed.set()
        self._end()
        self._thread.join(_END_S)

    def __enter__(self) -> Keeping:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._is_closed.is_set():
            try:
                self._note(self._follow())
            except OSError as error:
                self._note(f"the history index is not kept: {error.strerror}")
            self._is_closed.wait(keeper.RETRY_S)

    def _follow(self) -> str:
        """Run the program to its end; return what was wrong."""
        pipe = subprocess.PIPE
        with subprocess.Popen(
            (*_COMMAND, *self._arguments), stdin=pipe, stdout=pipe, text=True
        ) as process:
            self._process = process
            if self._is_closed.is_set():  # closed meanwhile
                self._end()
            assert process.stdout is not None
            for line in process.stdout:
                self._note(line.strip())
        return f"the program that keeps the history index ended with code {process.returncode}"

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self._trouble and not self._is_closed.is_set():
            self._report(trouble)
        self._trouble = trouble

    def _end(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
