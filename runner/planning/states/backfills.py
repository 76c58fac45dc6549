"""A backfill: fires of a past span that run again, one after another. Pure.

Its fires are fixed when a person asks for it, so it runs what `--dry-run` showed, even if the
rule changes meanwhile. What is left of it is part of the request's state. A fire leaves it in
the commit that claims its execution, so no restart repeats or loses one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile
from typing import Any

from runner.timing.rules import Rule
from runner.timing.upcoming import fires
from runner.timing.zones import TICK
from runner.values import from_microseconds, to_microseconds

MOST_FIRES = 1000
"""How many fires a backfill can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """What is left of a backfill."""

    by: str
    """The person who asked for it."""
    count: int
    """The number of its fires."""
    left: tuple[datetime, ...]
    """The fires without an execution yet, ascending."""
    running: datetime | None = None
    """The fire whose execution was claimed last. It may have ended."""

    @property
    def next(self) -> Backfill:
        """What is left once the execution of the first fire is claimed."""
        return replace(self, left=self.left[1:], running=self.left[0])


def past_fires(
    rule: Rule,
    begin: datetime,
    end: datetime,
    *,
    counted_from: datetime | None,
    settled: Collection[datetime],
) -> Iterator[datetime]:
    """Yield the fires from `begin` to `end`, ascending, without the `settled` ones."""
    found = takewhile(
        lambda fire: fire <= end, fires(rule, begin - TICK, counted_from=counted_from)
    )
    return (fire for fire in found if fire not in settled)


def fields_of(backfill: Backfill) -> dict[str, Any]:
    """Return the JSON fields that `backfill_from` reads."""
    return {
        "by": backfill.by,
        "count": backfill.count,
        "left": [*map(to_microseconds, backfill.left)],
        "running": None if backfill.running is None else to_microseconds(backfill.running),
    }


def backfill_from(fields: dict[str, Any]) -> Backfill:
    """Read the output of `fields_of`."""
    running = fields["running"]
    return Backfill(
        by=fields["by"],
        count=fields["count"],
        left=tuple(map(from_microseconds, fields["left"])),
        running=None if running is None else from_microseconds(running),
    )
