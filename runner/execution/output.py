"""Output files of executions: their place, their tail, their pruning. Touches files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The end of an output, at most 4 KiB when encoded as UTF-8, begun at a line's begin where that is possible."""

    text: str
    total_bytes: int
    truncated: bool


def output_path(folder: Path, execution: str) -> Path:
    """Return the place of an execution's output below the outputs folder: two levels, so that no folder grows large."""
    raise NotImplementedError


def read_tail(path: Path, *, limit: int = 4096) -> Tail:
    """Read the tail; bytes that are not UTF-8 are replaced, never dropped. A missing file is an empty output."""
    raise NotImplementedError
