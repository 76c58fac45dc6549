"""A value that all viewers share for a short time. Thread-safe; reads the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


_SHARE = 0.1
"""The part of its time that a value may be computed; on a busy machine it gets older."""
_OLDEST_S = 5.0


def fresh_for_s(took_s: float, *, least_s: float, most_s: float) -> float:
    """Return how long a value that took `took_s` to compute is fresh, in seconds."""
    return min(max(least_s, took_s / _SHARE), most_s)


class Shared(Generic[Value]):
    """The result of `compute`, at most `fresh_s` old, or 5 s if it takes long to compute.

    One thread computes, others wait.
    """

    def __init__(self, compute: Callable[[], Value], fresh_s: float) -> None:
        self._compute = compute
        self._fresh_s = fresh_s
        self._lock = Lock()
        self._known: tuple[Value, float] | None = None
        """The value, and until when it is fresh."""

    def value(self) -> Value:
        """Return the value. Raises what `compute` raises."""
        with self._lock:
            if self._known is None or time.monotonic() > self._known[1]:
                self._known = None  # so that a failure is not followed by an old value
                began_s = time.monotonic()
                value = self._compute()
                took_s = time.monotonic() - began_s
                most_s = max(self._fresh_s, _OLDEST_S)
                fresh_s = fresh_for_s(took_s, least_s=self._fresh_s, most_s=most_s)
                self._known = (value, began_s + fresh_s)
            return self._known[0]

    def forget(self) -> None:
        """Compute anew at the next question: something has changed."""
        with self._lock:
            self._known = None
