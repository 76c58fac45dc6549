"""The names of executions, as a list for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from runner.service.executions.execution import Execution
from runner.store.rows import Phase
from runner.values import listed

MOST_NAMED = 10
"""Maximum number of executions in a list of names."""


def adopted_words(executions: Iterable[Execution]) -> str | None:
    """Return the sentence about adopted executions; None if there are none.

    It names a group instead of its members.
    """
    wholes = [each for each in executions if each.claim.group is None]
    shown = (
        f"{each.name} ({each.phase if each.phase.is_before_start else Phase.RUNNING})"
        for each in wholes
    )
    return f"adopted from the former runner: {listed(shown, MOST_NAMED)}" if wholes else None


def running_names(executions: Iterable[Execution]) -> str:
    """Return the names of the executions that have started or are about to start.

    The list names a group's member instead of the group; it is empty if nothing runs.
    """
    running = (
        each.name for each in executions if not each.phase.is_before_start and not each.is_group
    )
    return listed(running, MOST_NAMED)
