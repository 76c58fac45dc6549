"""Waiting that ends when the reader of stdout goes away, as `head -3` does. Touches
descriptor 1.
"""

from __future__ import annotations

import errno
import os
import select

_STDOUT = 1
_FOLLOW_EVERY_S = 0.1
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


def pause(seconds: float) -> None:
    """Wait for some seconds; raise BrokenPipeError as soon as the reader of stdout is
    gone.

    A write would fail too, but a command that follows a quiet log may not write for
    hours.
    """
    poll = select.poll()
    poll.register(_STDOUT, 0)  # the kernel reports these three conditions without being asked
    if any(events & _GONE for _, events in poll.poll(seconds * 1000)):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def pause_briefly() -> None:
    """Wait until it is worth looking for new lines of a log again."""
    pause(_FOLLOW_EVERY_S)
