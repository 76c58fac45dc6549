"""The names of executions, as a list for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from runner.service.executions.execution import Execution
from runner.store.rows import Phase


def adopted_words(executions: Iterable[Execution]) -> str | None:
    """Return the sentence about adopted executions; None if there are none.

    It names a group instead of its members.
    """
    wholes = [each for each in executions if each.claim.group is None]
    shown = (
        f"{each.name} ({each.phase if each.phase.is_before_start else Phase.RUNNING})"
        for each in wholes
    )
    return f"adopted from the former runner: {listed(shown)}" if wholes else None


def running_names(executions: Iterable[Execution]) -> str:
    """Return the names of the executions that have started or are about to start.

    The list names a group's member instead of the group; it is empty if nothing runs.
    """
    return listed(
        each.name for each in executions if not each.phase.is_before_start and not each.is_group
    )


def listed(names: Iterable[str], *, most: int = 10) -> str:
    """Return names as a list, each once, shortened if it is long.

    >>> listed(["a", "b", "a", "c"], most=2)
    'a, b and 1 more'
    """
    each = list(dict.fromkeys(names))
    more = f" and {len(each) - most} more" if len(each) > most else ""
    return ", ".join(each[:most]) + more
