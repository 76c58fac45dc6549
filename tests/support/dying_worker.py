"""A worker that kills or stops itself at a marked point.

    python dying_worker.py POINT COUNT SIGNAL ARGUMENTS…

The point is passed COUNT times; then the process sends itself the signal. ARGUMENTS are
those of `runner work`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Any

from runner.store.postgres import worker_side
from runner.worker.executions import Executions
from runner.worker.guard import Guard
from runner.worker.notes import Notes
from runner.worker.sending import OutputSender


class Point(StrEnum):
    """A moment in a worker's life."""

    BEFORE_TAKE = "before take"
    AFTER_TAKE = "after take"
    BEFORE_NOTE_OF_TAKE = "before note of take"
    AFTER_NOTE_OF_TAKE = "after note of take"
    BEFORE_FENCE = "before fence"
    BEFORE_NOTE_OF_START = "before note of start"
    AFTER_NOTE_OF_START = "after note of start"
    BEFORE_OUTPUT = "before output"
    BEFORE_REPORT = "before report"
    AFTER_REPORT = "after report"
    BEFORE_NOTE_OF_END = "before note of end"
    AFTER_NOTE_OF_END = "after note of end"
    BEFORE_NOTE_OF_SENDING = "before note of sending"
    AFTER_NOTE_OF_SENDING = "after note of sending"
    BEFORE_FORGETTING = "before forgetting"
    AFTER_HEARTBEAT = "after heartbeat"


_PLACES: dict[Point, tuple[Any, str]] = {
    Point.BEFORE_TAKE: (worker_side, "take"),
    Point.AFTER_TAKE: (worker_side, "take"),
    Point.BEFORE_NOTE_OF_TAKE: (Notes, "put"),
    Point.AFTER_NOTE_OF_TAKE: (Notes, "put"),
    Point.BEFORE_FENCE: (Guard, "_write"),
    Point.BEFORE_NOTE_OF_START: (Executions, "_note_started"),
    Point.AFTER_NOTE_OF_START: (Executions, "_note_started"),
    Point.BEFORE_OUTPUT: (OutputSender, "send"),
    Point.BEFORE_REPORT: (worker_side, "report"),
    Point.AFTER_REPORT: (worker_side, "report"),
    Point.BEFORE_NOTE_OF_END: (Executions, "_note_end"),
    Point.AFTER_NOTE_OF_END: (Executions, "_note_end"),
    Point.BEFORE_NOTE_OF_SENDING: (Notes, "note_sent"),
    Point.AFTER_NOTE_OF_SENDING: (Notes, "note_sent"),
    Point.BEFORE_FORGETTING: (Notes, "forget"),
    Point.AFTER_HEARTBEAT: (worker_side, "beat"),
}


def _mark(point: Point, count: int, number: int) -> None:
    owner, name = _PLACES[point]
    passed = 0
    inner: Callable[..., Any] = getattr(owner, name)
    is_before = point.startswith("before")

    @wraps(inner)
    def marked(*args: Any, **kwargs: Any) -> Any:
        nonlocal passed
        result = None if is_before else inner(*args, **kwargs)
        passed += 1
        if passed == count:
            os.kill(os.getpid(), number)
        return inner(*args, **kwargs) if is_before else result

    setattr(owner, name, marked)


if __name__ == "__main__":
    _mark(Point(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    sys.argv[1:4] = ["work"]
    from runner.cli import main

    main()
