"""The instant of a decision, and what the runner knows at that instant. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """When a decision is made, and what then holds for the runner."""

    now: datetime
    """The wall time at which everything in the decision happens."""
    now_s: float
    """The same instant in elapsed seconds, on a clock that nobody can set."""
    git: str | None = None
    """The commit of the jobs folder in force; None if the folder is not in git."""
    is_stopping: bool = False
    """Whether a signal asked the runner to stop: `runner exec` is then refused."""
    is_closing: bool = False
    """Whether nothing may start any more: new executions wait in the store for the next
    runner.
    """
    starts_inherited: bool = True
    """Whether executions that a former runner left may start.

    Off in `runner exec` without a runner: they wait for the next runner.
    """
    claims_ahead: bool = True
    """Whether fires may be claimed a few milliseconds ahead of their time."""
    clock_trouble: str | None = None
    """Why the clock cannot be trusted, so that no schedule may follow it; None if it can."""
    jobs_trouble: str | None = None
    """Why the jobs folder is another runner's, so that no request may fire; None if it is
    this runner's.
    """
    awaited_from: datetime | None = None
    """When the runner started, or when its clock last went forward.

    The runner waited for a fire that is due later, and only found an earlier one. The
    difference matters for fires that come again after the clock went back.
    """
