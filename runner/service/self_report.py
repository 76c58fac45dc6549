"""What a runner reports about itself in its records. Pure, apart from its process id."""

from __future__ import annotations

import os
from collections.abc import Iterable

from runner import __version__
from runner.monitor.events import RunnerFacts
from runner.service.executions.execution import Execution
from runner.service.reload.catalog_change import CatalogChange, first_runs
from runner.service.settings import Settings
from runner.store.rows import Phase

ALIVE = "alive"
"""The key in the store's meta table for the pid of a runner that has recorded no stop.

Empty after an orderly stop. If nobody owns the store and it is not, that runner was killed.
"""


def about(settings: Settings, *, git_commit: str | None, requests: int) -> RunnerFacts:
    """Return what all records about a runner contain."""
    return RunnerFacts(
        pid=os.getpid(),
        version=__version__,
        jobs=str(settings.jobs),
        state=str(settings.state),
        git_commit=git_commit,
        requests=requests,
    )


def adopted_words(executions: Iterable[Execution]) -> str | None:
    """Return the sentence about adopted executions; None if there are none.

    It names a group instead of its members.
    """
    wholes = [each for each in executions if each.claim.group is None]
    shown = (
        f"{each.name} ({'waiting' if each.phase is Phase.WAITING else 'running'})"
        for each in wholes
    )
    return f"adopted from the former runner: {listed(shown)}" if wholes else None


def listed(names: Iterable[str], *, most: int = 10) -> str:
    """Return names as a list for people, each once, shortened if it is long.

    >>> listed(["a", "b", "a", "c"], most=2)
    'a, b and 1 more'
    """
    each = list(dict.fromkeys(names))
    more = f" and {len(each) - most} more" if len(each) > most else ""
    return ", ".join(each[:most]) + more


def start_message(change: CatalogChange, *, is_new: bool) -> str | None:
    """Return the message of a `runner.started` record.

    `is_new` says that the store has never had a request.
    """
    if change.changeover.in_force.is_kept_whole:
        return change.summary
    return first_runs(change) if is_new else None
