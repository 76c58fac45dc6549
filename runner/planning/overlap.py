"""May a claimed execution start now? The concurrency guard and `max_running`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What `prevent_concurrent` compares: the original's process, client and organization."""

    process: str
    client: str | None
    organization: str | None


class Verdict(Enum):
    """What becomes of a claim."""

    RUN = "run"
    WAIT = "wait"
    REFUSE = "refuse"


def verdict(*, is_guard_held: bool, running: int, max_running: int | None) -> Verdict:
    """Decide by whether another execution, running or waiting, holds the guard, and by how many run."""
    if is_guard_held:
        return Verdict.REFUSE
    if max_running is not None and running >= max_running:
        return Verdict.WAIT
    return Verdict.RUN
