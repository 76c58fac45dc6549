"""Raises the runner's own limit of open files when needed. Touches this process.

A running execution takes one descriptor of the runner, or two if the launcher started
it. Programs still start under the former limit: some fail with descriptors above 1023,
which select(2) cannot handle.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock

_FEW = 32
"""Below this descriptor the limit is not looked at: half of the lowest usual limit."""


class StartNotPermittedError(Exception):
    """A program must not start now: the owner must wait for it (see `permitted`)."""


@dataclass(slots=True)
class _Raised:
    """The limits after the raise, and who may start a program."""

    former: tuple[int, int] | None = None
    """The soft and the hard limit at the start of the program; None if not raised."""
    own: tuple[int, int] = (0, 0)
    """The limits after the raise."""
    permitted: str = ""
    """The execution whose program may start now."""
    look_from: int = _FEW
    """The descriptor at which half of the limit is in use, as far as known."""


_raised = _Raised()
_mutex = Lock()  # guards `permitted`, and the limit while it is lowered


def make_room(descriptor: int) -> None:
    """Raise the soft limit to the hard one if half of it is in use.

    The number of the latest descriptor shows that. Raising it earlier would cost 10 µs at
    each start of a program (see `below_former_limit`).
    """
    if descriptor < _raised.look_from:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    _raised.look_from = max(_FEW, soft // 2)
    if _raised.former is not None or soft == hard or descriptor < soft // 2:
        return
    with suppress(OSError, ValueError):  # macOS refuses "unlimited" although it reports it
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        _raised.former, _raised.own = (soft, hard), (hard, hard)


def is_raised() -> bool:
    """Return whether programs start under another limit than this process has."""
    return _raised.former is not None


def former_limit() -> tuple[int, int] | None:
    """Return the soft and the hard limit before the raise; None if nothing was raised."""
    return _raised.former


@contextmanager
def permitted(execution: str) -> Iterator[None]:
    """Let the program of an execution start in another thread during the block.

    Its start lowers the limit of this whole process, so the block must open no file. At
    the end the limit is raised again, even if the start hangs. Its child has taken the
    lower limit by then, or does not begin. Only a thread that gets no processor just
    before posix_spawn may give its program the higher limit.
    """
    _raised.permitted = execution
    try:
        yield
    finally:
        with _mutex:
            _raised.permitted = ""
            resource.setrlimit(resource.RLIMIT_NOFILE, _raised.own)


@contextmanager
def below_former_limit(execution: str) -> Iterator[None]:
    """Lower the limit to the former one while a program starts. Open files stay open.

    Raises StartNotPermittedError if the limit is raised and the owner does not wait for this
    start.
    """
    if _raised.former is not None:
        with _mutex:
            if _raised.permitted != execution:
                raise StartNotPermittedError
            resource.setrlimit(resource.RLIMIT_NOFILE, _raised.former)
    yield  # the owner raises the limit again
