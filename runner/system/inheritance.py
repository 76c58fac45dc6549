"""What a program leaves open for the one that replaces it in the same process (execve(2))."""

from __future__ import annotations

import os


def inheritable(descriptor: int) -> int:
    """Return a copy of a descriptor that stays open over an execve.

    Locks (flock(2)) stay held as long as a copy is open.
    """
    copy = os.dup(descriptor)
    os.set_inheritable(copy, True)
    return copy
