"""Whether a queue would never move: who holds a guard may wait itself, through a
member, for a guard of who asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from runner.planning.overlap import Guard
from runner.service.executions.execution import Execution
from runner.store.rows import Phase


class View(Protocol):
    """The executions that are on their way."""

    def find(self, execution: str) -> Execution | None:
        """Return one by its id."""

    def holder(self, guard: Guard) -> Execution | None:
        """Return who holds a guard."""

    def member(self, group: str) -> Execution | None:
        """Return the member of a group that is on its way."""


def would_wait_for_itself(execution: Execution, view: View) -> bool:
    """Tell whether an execution that queued for its guard would wait for the end of a
    group that it is a member of.
    """
    own = {group.id for group in _groups_of(execution, view)}
    return bool(own) and any(holder.id in own for holder in _held_up_by(execution, view))


def _groups_of(execution: Execution, view: View) -> Iterator[Execution]:
    while (group := view.find(execution.claim.group or "")) is not None:
        yield group
        execution = group


def _held_up_by(execution: Execution, view: View) -> Iterator[Execution]:
    """Yield who holds the guard that an execution waits for, who holds the one that
    this waits for, and so on.
    """
    seen: set[str] = set()
    while (
        holder := view.holder(execution.guard) if execution.guard else None
    ) is not None and holder.id not in seen:
        yield holder
        seen.add(holder.id)
        execution = _innermost(holder, view)
        if execution.phase is not Phase.WAITING:
            return


def _innermost(execution: Execution, view: View) -> Execution:
    """Return who a group waits for in the end: the member of its member."""
    while execution.is_group and (member := view.member(execution.id)) is not None:
        execution = member
    return execution
