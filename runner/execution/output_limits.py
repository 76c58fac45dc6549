"""Enforces `output_limit`: checks each output every 250 ms and cuts it. Touches files.

No system limit bounds a single file: RLIMIT_FSIZE bounds every file that a process
writes. Each check cuts the output, also while the process is still stopping. So the disk
holds at most the limit plus the output of 250 ms, however long the process takes to end.
The output is open for appending, so writing continues at the cut.

A process that outlives its execution may write until it is found and killed. So an
output that exceeded its limit is checked until it stops growing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

_LOOK_S = 0.25


@dataclass(slots=True, kw_only=True, eq=False)
class _Bounded:
    """An output with a limit."""

    descriptor: int
    """Our own: the process may remove or replace the file and keep writing to it."""
    limit: int
    """Bytes."""
    size: int = 0
    """Bytes at the last check."""
    is_beyond: bool = False
    """Whether the output has ever exceeded its limit."""


class OutputLimits:
    """The limited outputs by execution. The caller passes monotonic seconds."""

    def __init__(self) -> None:
        self._bounded: dict[str, _Bounded] = {}
        self._outlived: list[_Bounded] = []
        self.next_s: float | None = None

    def __contains__(self, execution: str) -> bool:
        return execution in self._bounded

    def watch(self, execution: str, descriptor: int, limit: int, now_s: float) -> None:
        """Limit an output to `limit` bytes, and take ownership of its descriptor."""
        self._bounded[execution] = _Bounded(descriptor=descriptor, limit=limit)
        self.next_s = self.next_s if self.next_s is not None else now_s + _LOOK_S

    def look(self, now_s: float) -> list[str]:
        """Cut the outputs that exceed their limit.

        Return the executions whose output exceeds it for the first time.
        """
        within = [name for name, bounded in self._bounded.items() if not bounded.is_beyond]
        for bounded in self._bounded.values():
            _cut(bounded)
        self._outlived = [bounded for bounded in self._outlived if _is_growing(bounded)]
        self.next_s = now_s + _LOOK_S if self._bounded or self._outlived else None
        return [name for name in within if self._bounded[name].is_beyond]

    def finish(self, execution: str) -> bool:
        """Cut the output of an execution that has ended.

        Return whether it ever exceeded its limit; False if it has none.
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
    """Cut a growing output and return True; close one that no longer grows."""
    size = bounded.size
    if os.fstat(bounded.descriptor).st_size != size:
        _cut(bounded)
        return True
    os.close(bounded.descriptor)
    return False
