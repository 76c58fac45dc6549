"""Detects a deadlock: an execution that would queue for a guard behind its own group.

Example: group A holds a guard and runs member M. M needs the guard that group B holds;
B's member N needs A's guard. M waits for B, B waits for N, N waits for A, and A waits for M. A
guard has one holder and each holder waits for at most one guard, so the executions that
hold up another one form a chain. The chain is followed to its end; no search is needed.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from runner.planning.overlap import Guard
from runner.service.executions.execution import Execution


class View(Protocol):
    """The executions in progress, as the caller sees them."""

    def find(self, execution: str) -> Execution | None:
        """Return an execution by its id."""

    def holder(self, guard: Guard) -> Execution | None:
        """Return the execution that holds a guard."""

    def member(self, group: str) -> Execution | None:
        """Return the member of a group that has not ended."""


def would_wait_for_itself(execution: Execution, view: View) -> bool:
    """Return whether an execution would wait for the end of a group that contains it.

    Such a group waits for the execution in turn, so neither would ever end. An execution
    outside any group cannot cause this.
    """
    own = {group.id for group in _groups_of(execution, view)}
    return bool(own) and any(holder.id in own for holder in _held_up_by(execution, view))


def _groups_of(execution: Execution, view: View) -> Iterator[Execution]:
    # The claim of an execution outside any group has no group: no id is empty, so "" finds
    # nothing.
    while (group := view.find(execution.claim.group or "")) is not None:
        yield group
        execution = group


def _held_up_by(execution: Execution, view: View) -> Iterator[Execution]:
    """Yield the holder of the guard that an execution needs, then the holder that this one needs.

    The chain ends at an execution that does not wait, at a free guard, or at a holder
    seen before. The last case is a cycle that already exists and that does not go
    through `execution`; without `seen` the loop would never end.
    """
    seen: set[str] = set()
    while (
        holder := view.holder(execution.guard) if execution.guard else None
    ) is not None and holder.id not in seen:
        yield holder
        seen.add(holder.id)
        # A group that holds a guard waits for its innermost member, so the chain goes on
        # from there.
        execution = _innermost(holder, view)
        if not execution.phase.is_before_start:
            return


def _innermost(execution: Execution, view: View) -> Execution:
    """Return the execution that a group waits for: its member, or the member's member."""
    while execution.is_group and (member := view.member(execution.id)) is not None:
        execution = member
    return execution
