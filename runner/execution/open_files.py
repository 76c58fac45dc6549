"""How many files this program may have open: as many as the system lets it, once it
needs them. Its programs may have as many as they could before: there are some that fail
with more than select(2) can count. Touches this process.

A running execution takes one descriptor of us, or two if it was started by the launcher.
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
    """The limits that we found, soft and hard, and two descriptors of nothing that are
    below the soft one.
    """

    former: tuple[int, int] | None = None
    place: int = -1
    nothing: int = -1


_raised = _Raised()
_limited = Lock()
"""Held while our own limit is the lower one: of two threads that start programs each
would undo what the other does.
"""
_PATIENCE_S = 1.0


def make_room(descriptor: int) -> None:
    """Raise our soft limit of open files to the hard one, once the latest descriptor
    shows that half of it is in use.

    Not before: to start a program under a raised limit takes 10 µs longer.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _raised.former is not None or soft == hard or descriptor < soft // 2:
        return
    with suppress(OSError, ValueError):  # macOS has a limit below "no limit"
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        _raised.nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        _raised.place = os.dup(_raised.nothing)
        _raised.former = soft, hard


def former_limit() -> tuple[int, int] | None:
    """Return the soft and the hard limit that we found, None if we have not raised any."""
    return _raised.former


@contextmanager
def below_former_limit(descriptor: int) -> Iterator[int]:
    """Have the limit that we found, for a program that is started meanwhile. What is open stays so.

    Yields the descriptor under a number below the limit: posix_spawn refuses any other.
    Raises OSError.
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
