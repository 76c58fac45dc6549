"""A pause or a backfill in words, and as the fields of a JSON line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner.timing.local_times import local_text
from runner.values import counted, listed

if TYPE_CHECKING:
    from runner.planning.states.backfills import Backfill
    from runner.planning.states.pauses import Pause

_MOST_NAMES = 8


def pause_words(pause: Pause, zone: str) -> str:
    """Return what a pause holds, since when, until when, by whom and why."""
    what = "all requests" if pause.names is None else listed(sorted(pause.names), _MOST_NAMES)
    if pause.excluded:
        what += f" but {listed(sorted(pause.excluded), _MOST_NAMES)}"
    return f"{what} {pause_span(pause, zone)}"


def pause_span(pause: Pause, zone: str) -> str:
    """Return since when a pause lasts, until when, by whom and why."""
    until = f" until {local_text(pause.end, zone)}" if pause.end else ""
    return f"since {local_text(pause.begin, zone)}{until} by {pause.by}: {pause.reason}"


def pause_item(pause: Pause) -> dict[str, Any]:
    """Return a pause under the field names of the monitor record."""
    return {
        "paused": None if pause.names is None else sorted(pause.names),
        "excluded": sorted(pause.excluded),
        "paused_from": pause.begin,
        "paused_until": pause.end,
        "requested_by": pause.by,
        "message": pause.reason,
    }


def backfill_item(backfill: Backfill) -> dict[str, Any]:
    """Return a backfill as fields of a JSON line."""
    return {
        "count": backfill.count,
        "left": len(backfill.left),
        "requested_by": backfill.by,
    }


def backfill_words(item: Mapping[str, Any]) -> str:
    """Return how far a backfill is."""
    fires = counted(item["count"], "fire")
    return f"{item['left']} of {fires} left, by {item['requested_by']}"
