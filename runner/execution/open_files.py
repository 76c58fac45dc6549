"""Raises the runner's own limit of open files when needed. Touches this process.

A running execution takes one descriptor of the runner, or two if the launcher started
it. Programs still start under the former limit: some fail with descriptors above 1023,
which select(2) cannot handle.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock


@dataclass(slots=True)
class _Raised:
    """The state after the raise. Both descriptors are below the former limit."""

    former: tuple[int, int] | None = None
    """The soft and the hard limit at the start of the program; None if not raised."""
    place: int = -1
    """A reserved number, to which `below_former_limit` copies a descriptor."""
    nothing: int = -1
    """/dev/null, which occupies `place` the rest of the time."""


_raised = _Raised()
_limited = Lock()
"""Held while the limit is lowered: two starting threads would undo each other."""
_PATIENCE_S = 1.0  # a start that takes longer hangs, on a disk for instance


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
        _raised.former = soft, hard


def former_limit() -> tuple[int, int] | None:
    """Return the soft and the hard limit before the raise; None if nothing was raised."""
    return _raised.former


@contextmanager
def below_former_limit(descriptor: int) -> Iterator[int]:
    """Lower the limit to the former one while a program starts. Open files stay open.

    Yield the descriptor under a number below the former limit, because posix_spawn
    refuses a higher one. Raises OSError.
    """
    if _raised.former is None:
        yield descriptor
        return
    if not _limited.acquire(timeout=_PATIENCE_S):
        raise OSError(errno.EAGAIN, "the start of another program hangs")
    own = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        os.dup2(descriptor, _raised.place, inheritable=False)
        resource.setrlimit(resource.RLIMIT_NOFILE, _raised.former)
        yield _raised.place
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, own)
        os.dup2(_raised.nothing, _raised.place, inheritable=False)
        _limited.release()
