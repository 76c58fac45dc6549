"""Keeps the threads of a runner small. Changes how this process allocates memory."""

from __future__ import annotations

import contextlib
import ctypes

_M_ARENA_MAX = -8
"""The option of mallopt(3) in the C library of GNU."""
_ARENAS = 2


def limit_arenas() -> None:
    """Let the threads that start later share two allocation areas.

    Otherwise the C library reserves 64 MB of address space for each thread that
    allocates: with ten threads more than `ulimit -v` often allows. Python's threads take
    turns, so areas of their own gain nothing. Other C libraries have no such option.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
