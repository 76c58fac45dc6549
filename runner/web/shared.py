"""A value that all viewers share for a short time. Thread-safe; reads the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Shared(Generic[Value]):
    """The result of `compute`, at most `fresh_s` old. One thread computes, others wait."""

    def __init__(self, compute: Callable[[], Value], fresh_s: float) -> None:
        self._compute = compute
        self._fresh_s = fresh_s
        self._lock = Lock()
        self._known: tuple[Value, float] | None = None

    def value(self) -> Value:
        """Return the value. Raises what `compute` raises."""
        with self._lock:
            if self._known is None or time.monotonic() - self._known[1] > self._fresh_s:
                self._known = None  # so that a failure is not followed by an old value
                began_s = time.monotonic()
                self._known = (self._compute(), began_s)
            return self._known[0]

    def forget(self) -> None:
        """Compute anew at the next question: something has changed."""
        with self._lock:
            self._known = None
