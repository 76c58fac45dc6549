"""Bounds on outputs: looked at every 250 ms while they grow, and cut. Touches output files.

Nothing else bounds one file (RLIMIT_FSIZE bounds all that a process writes). Cutting at
each look, not only at the end, is what keeps the disk: it never holds more than the
limit and what is written between two looks, however long the process takes to end after
it was asked to. The output is open for appending, so that it goes on at the cut.

Who outlives an execution may write on until it is found and killed. So an output that
went beyond its limit is looked at until it grows no more.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

_LOOK_S = 0.25


@dataclass(slots=True, kw_only=True, eq=False)
class _Bounded:
    descriptor: int  # of its own: the process may remove or replace the file, and write on
    limit: int
    size: int = 0  # when it was looked at last
    is_beyond: bool = False


class OutputLimits:
    """The outputs that have a limit, by execution. Time is monotonic seconds, given by the caller."""

    def __init__(self) -> None:
        self._bounded: dict[str, _Bounded] = {}
        self._outlived: list[_Bounded] = []
        self.next_s: float | None = None

    def __contains__(self, execution: str) -> bool:
        return execution in self._bounded

    def watch(self, execution: str, descriptor: int, limit: int, now_s: float) -> None:
        """Bound an output, in bytes; its descriptor is ours from now on."""
        self._bounded[execution] = _Bounded(descriptor=descriptor, limit=limit)
        self.next_s = self.next_s if self.next_s is not None else now_s + _LOOK_S

    def look(self, now_s: float) -> list[str]:
        """Cut what is beyond its limit, and return whose output that is, each only once."""
        within = [name for name, bounded in self._bounded.items() if not bounded.is_beyond]
        for bounded in self._bounded.values():
            _cut(bounded)
        self._outlived = [bounded for bounded in self._outlived if _is_growing(bounded)]
        self.next_s = now_s + _LOOK_S if self._bounded or self._outlived else None
        return [name for name in within if self._bounded[name].is_beyond]

    def finish(self, execution: str) -> bool:
        """Cut an output of which the execution has ended, if it has a limit; tell
        whether it was ever beyond it.
        """
        bounded = self._bounded.pop(execution, None)
        if bounded is None:
            return False
        _cut(bounded)
        if bounded.is_beyond:
            self._outlived.append(bounded)
        else:
            os.close(bounded.descriptor)
        self.next_s = self.next_s if self._bounded or self._outlived else None
        return bounded.is_beyond


def _cut(bounded: _Bounded) -> None:
    bounded.size = os.fstat(bounded.descriptor).st_size
    if bounded.size > bounded.limit:
        os.ftruncate(bounded.descriptor, bounded.limit)
        bounded.size = bounded.limit
        bounded.is_beyond = True


def _is_growing(bounded: _Bounded) -> bool:
    """Cut it, and close it if it has not grown since it was looked at last."""
    size = bounded.size
    if os.fstat(bounded.descriptor).st_size != size:
        _cut(bounded)
        return True
    os.close(bounded.descriptor)
    return False
