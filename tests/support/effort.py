"""How much a call does, in a measure that is the same on every machine, however fast or
busy: calls, not seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from cProfile import Profile


def effort_of(do: Callable[[], object]) -> int:
    """Return how many functions, Python's own and those in C, were called while `do` ran."""
    profile = Profile()
    profile.runcall(do)
    return sum(entry.callcount for entry in profile.getstats())
