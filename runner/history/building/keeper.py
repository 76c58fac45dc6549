"""The program that keeps the history index up to date, until its standard input ends.

It prints a line when it cannot do so, with the reason, and an empty line when it can
again. Only one keeper of an index works; another one waits. Runs as a file, so that the
current folder is not in its path. Touches files.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from pathlib import Path

POLL_S = 0.5
"""How often the log is looked at: a record is in the index within a second, and in a burst
many of them at once.
"""
RETRY_S = 1.0
_NICE = 5  # pages and the runner's loop go first


def main(state: Path, log: Path) -> None:
    """Keep the index in a state folder until standard input ends."""
    from runner.history.building.writing import HistoryError

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    os.nice(_NICE)
    said = ""
    while True:
        words = ""
        try:
            _keep(state, log)
        except HistoryError as error:
            words = " ".join(str(error).split())
        if words != said:
            said = words
            _say(words)
        wait(RETRY_S)


def _keep(state: Path, log: Path) -> None:
    """Build the index and follow the log, without end. Raises HistoryError."""
    from runner.history import tables
    from runner.history.building.builder import Builder
    from runner.history.building.retention import Limits
    from runner.history.building.writing import is_locked, opened_lock

    lock = opened_lock(tables.lock_path(state))
    try:
        while not is_locked(lock):
            wait(RETRY_S)
        _say("")
        with contextlib.closing(Builder(tables.index_path(state), log, Limits())) as builder:
            while True:
                wait(0 if builder.step() else POLL_S)
    finally:
        os.close(lock)


def _say(words: str) -> None:
    with contextlib.suppress(OSError):  # without a parent nobody reads it
        os.write(sys.stdout.fileno(), f"{words}\n".encode())


def wait(seconds: float) -> None:
    """Wait, and end the program when standard input ends: nobody needs the index any more."""
    if select.select([sys.stdin], [], [], seconds)[0] and not os.read(sys.stdin.fileno(), 1):
        sys.exit()


if __name__ == "__main__":
    top = os.path.abspath(__file__)  # noqa: PTH100 - as in runner/notifying/sending/sender.py
    for _ in ("history", "runner", "the folder of the package"):
        top = os.path.dirname(top)  # noqa: PTH120
    sys.path.insert(0, top)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
