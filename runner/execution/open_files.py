"""Raises the runner's own limit of open files when needed. Touches this process.

A running execution takes one descriptor of the runner, or two if the launcher started
it. Programs still start under the former limit: some fail with descriptors above 1023,
which select(2) cannot handle.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock


class UnattendedError(Exception):
    """A program must not start now: the owner must attend to it (see `attended`)."""


@dataclass(slots=True)
class _Raised:
    """The state after the raise. Both descriptors are below the former limit."""

    former: tuple[int, int] | None = None
    """The soft and the hard limit at the start of the program; None if not raised."""
    own: tuple[int, int] = (0, 0)
    """The limits after the raise."""
    place: int = -1
    """A reserved number, to which `below_former_limit` copies a descriptor."""
    nothing: int = -1
    """/dev/null, which occupies `place` the rest of the time."""
    attended: str = ""
    """The execution whose program may start now."""


_raised = _Raised()
_mutex = Lock()  # guards `attended`, and the limit while it is lowered


def make_room(descriptor: int) -> None:
    """Raise the soft limit to the hard one if half of it is in use.

    The number of the latest descriptor shows that. Raising it earlier would cost 10 µs at
    each start of a program (see `below_former_limit`).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _raised.former is not None or soft == hard or descriptor < soft // 2:
        return
    with suppress(OSError, ValueError):  # macOS refuses "unlimited" although it reports it
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        _raised.nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        _raised.place = os.dup(_raised.nothing)
        _raised.former, _raised.own = (soft, hard), (hard, hard)


def is_raised() -> bool:
    """Return whether programs start under another limit than this process has."""
    return _raised.former is not None


def former_limit() -> tuple[int, int] | None:
    """Return the soft and the hard limit before the raise; None if nothing was raised."""
    return _raised.former


@contextmanager
def attended(execution: str) -> Iterator[None]:
    """Let the program of an execution start in another thread during the block.

    Its start lowers the limit of this whole process, so the block must open no file. At
    the end the limit is raised again, even if the start hangs: its child has taken the
    lower limit by then, or has not begun.
    """
    _raised.attended = execution
    try:
        yield
    finally:
        with _mutex:
            _raised.attended = ""
            resource.setrlimit(resource.RLIMIT_NOFILE, _raised.own)
            os.dup2(_raised.nothing, _raised.place, inheritable=False)


@contextmanager
def below_former_limit(execution: str, descriptor: int) -> Iterator[int]:
    """Lower the limit to the former one while a program starts. Open files stay open.

    Yield the descriptor under a number below the former limit, because posix_spawn
    refuses a higher one. Raises OSError, and UnattendedError if the limit is raised and
    the owner does not attend to this start.
    """
    if _raised.former is None:
        yield descriptor
        return
    with _mutex:
        if _raised.attended != execution:
            raise UnattendedError
        os.dup2(descriptor, _raised.place, inheritable=False)
        resource.setrlimit(resource.RLIMIT_NOFILE, _raised.former)
    yield _raised.place  # the owner raises the limit again
