"""May a claimed execution start now? The concurrency guard and `max_running`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from runner.lifecycle import OnOverlap


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What `prevent_concurrent` compares: the original's process, client and organization."""

    process: str
    client: str | None
    organization: str | None


class Verdict(Enum):
    """What becomes of a claim."""

    RUN = "run"
    WAIT = "wait"  # for a free place
    QUEUE = "queue"  # for the guard
    REPLACE = "replace"  # for the guard, whose holder is stopped
    REFUSE = "refuse"


def verdict(
    *, is_guard_held: bool, is_queue_closed: bool, on_overlap: OnOverlap, has_room: bool
) -> Verdict:
    """Decide by whether another execution, running or waiting, holds the guard, and
    whether there is a free place.

    The queue for a guard holds one: who finds it taken is refused, or takes its place.
    It is also closed to who would wait there for itself.
    """
    if not is_guard_held:
        return Verdict.RUN if has_room else Verdict.WAIT
    match on_overlap:
        case OnOverlap.REFUSE:
            return Verdict.REFUSE
        case OnOverlap.QUEUE:
            return Verdict.REFUSE if is_queue_closed else Verdict.QUEUE
        case OnOverlap.REPLACE:
            return Verdict.REPLACE
        case _:
            assert_never(on_overlap)
