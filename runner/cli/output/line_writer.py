"""Writes lines in a thread of its own, so that the caller never waits for a slow reader.

A full pipe, a terminal stopped by Ctrl-S or a hung disk can block a write for ever. To
make the descriptor non-blocking instead would also change it for every other program
that has it open, for example the shell. Touches threads.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections import deque
from collections.abc import Callable
from threading import Condition

from runner.system.threads import OwnThread

MOST_CHARACTERS = 2**20
"""Maximum number of waiting characters; further lines are dropped and counted."""
LINES_AT_ONCE = 32
"""How many lines one write contains."""
PATIENCE_S = 2.0
"""How long `close` waits for the reader, in seconds."""


class LineWriter:
    """Passes lines to `write`, in order, joined by newlines.

    `write` may block, and may raise OSError: its lines then count as dropped. `notice`
    returns the line that says how many were dropped; it is written as soon as the reader
    reads again. `report` receives the error when writing begins to fail, and None when
    it works again.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[str], object],
        *,
        notice: Callable[[int], str],
        report: Callable[[OSError | None], None] = lambda _: None,
    ) -> None:
        self._name = name
        self._write = write
        self._notice = notice
        self._report = report
        self._lines: deque[str] = deque()
        self._characters = 0
        self._dropped = 0
        self._is_overflowing = False
        self._is_failing = False
        self._is_idle = False
        self._is_closing = False
        self._changed = Condition()  # guards all of these; never held during a write
        self._thread: OwnThread | None = None

    def add(self, line: str) -> None:
        """Add a line without waiting for the reader. Raises RuntimeError without a thread."""
        with self._changed:
            # Once a line was dropped, drop all until the reader has read what waits. So
            # there is one notice, at the place where the lines are missing.
            if self._is_overflowing or self._characters > MOST_CHARACTERS:
                self._is_overflowing = True
                self._dropped += 1
                return
            self._lines.append(line)
            self._characters += len(line)
            if self._is_idle:
                self._changed.notify()
        if self._thread is None:
            self._thread = OwnThread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def close(self) -> bool:
        """Write what waits, and end the thread; give up after `PATIENCE_S` seconds.

        Return False after giving up: the thread still waits for the reader, and ends with
        the program.
        """
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if self._thread is None:
            return True
        self._thread.join(PATIENCE_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        # Every signal is for the main thread: `system.stalls` sees whether it was taken.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while (taken := self._take()) is not None:
            lines, count = taken
            try:
                self._write("\n".join(lines))
            except OSError as error:
                self._fail(count, error)
            else:
                self._succeed()

    def _take(self) -> tuple[list[str], int] | None:
        """Wait for lines. Return them with the number of lines that they stand for.

        Return None when the writer is closed and everything is written.
        """
        with self._changed:
            # After a failure, do not try again before there is a new line.
            while not (self._lines or (self._dropped and not self._is_failing)):
                if self._is_closing:
                    return None
                self._is_idle = True
                self._changed.wait()
                self._is_idle = False
            lines = [self._lines.popleft() for _ in range(min(LINES_AT_ONCE, len(self._lines)))]
            self._characters -= sum(map(len, lines))
            count = len(lines)
            if self._dropped and (self._is_failing or not lines):
                lines.insert(0, self._notice(self._dropped))
                count += self._dropped
                self._dropped, self._is_overflowing = 0, False
            return lines, count

    def _fail(self, count: int, error: OSError) -> None:
        with self._changed:
            was_failing, self._is_failing = self._is_failing, True
            self._dropped += count
        if not was_failing:
            self._report(error)

    def _succeed(self) -> None:
        if self._is_failing:
            self._is_failing = False
            self._report(None)


def to_stderr() -> Callable[[str], None]:
    """Return a function that writes to stderr, past Python's buffer.

    A thread that hangs in a write must not hold the buffer's lock: Python needs it to exit.
    """
    descriptor, encoding = sys.stderr.fileno(), sys.stderr.encoding
    return lambda text: write_whole(descriptor, f"{text}\n".encode(encoding, "backslashreplace"))


def write_whole(descriptor: int, data: bytes) -> None:
    """Write all bytes, however long that takes. Raises OSError."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # another program made the descriptor non-blocking
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
