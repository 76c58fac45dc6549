"""Decide whether a claimed execution may start: concurrency guard, `max_running`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from runner.lifecycle import OnOverlap
from runner.requests.model import Context, Process


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The values that `prevent_concurrent` compares, as in Openbravo."""

    process: str
    client: str | None
    organization: str | None


def guard_of(process: Process, context: Context) -> Guard | None:
    """Return the guard that an execution of a process holds; None if executions may overlap."""
    if not process.prevent_concurrent:
        return None
    return Guard(process=process.name, client=context.client, organization=context.organization)


class Verdict(Enum):
    """What the runner does with a claim."""

    RUN = "run"
    WAIT = "wait"  # until fewer than `max_running` executions run
    QUEUE = "queue"  # until the guard is free
    REPLACE = "replace"  # stop the holder of the guard, and queue for it
    REFUSE = "refuse"  # record it as skipped


def verdict(
    *, is_guard_held: bool, is_queue_closed: bool, on_overlap: OnOverlap, has_room: bool
) -> Verdict:
    """Decide what the runner does with a claim.

    `is_guard_held`: another execution, running or waiting, holds the guard. `has_room`:
    fewer than `max_running` executions run. `is_queue_closed`: the queue for the guard,
    which holds one, is full, or the claim would wait there for its own execution.
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
