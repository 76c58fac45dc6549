"""Describe timings in plain English. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import assert_never

from runner.lifecycle import Misfire
from runner.planning.fires.firing import CATCH_UP_LIMIT
from runner.requests.model import RunImmediately, RunLater, Schedule, Timing
from runner.timing.rule_wording import describe
from runner.timing.zones import wall_at, zone_named
from runner.values import duration_text


@lru_cache(maxsize=1 << 12)  # many requests share a timing
def timing_words(timing: Timing | None) -> str:
    """Describe in one line when a request fires, with any spread and catching up.

    >>> from datetime import UTC, datetime
    >>> timing_words(RunLater(start=datetime(2026, 12, 24, 17, tzinfo=UTC), zone="Europe/Madrid"))
    'once, at 2026-12-24 18:00 (Europe/Madrid)'
    """
    match timing:
        case None:
            return "no timing: it runs on demand"
        case RunImmediately():
            return "once, when it is first seen"
        case RunLater():
            return f"once, at {_local(timing)}" + (
                "; if that is missed, it does not run" if _is_skipping(timing) else ""
            )
        case Schedule():
            return describe(timing.rule) + _spread(timing) + _catching_up(timing.misfire)
        case _:
            assert_never(timing)


def _local(timing: RunLater) -> str:
    wall = wall_at(timing.start, zone_named(timing.zone))
    return f"{wall.isoformat(' ', 'seconds' if wall.second else 'minutes')} ({timing.zone})"


def _is_skipping(timing: RunLater) -> bool:
    return timing.misfire is Misfire.SKIP


def _spread(timing: Schedule) -> str:
    return f", each up to {duration_text(timing.spread)} later" if timing.spread else ""


def _catching_up(misfire: Misfire) -> str:
    match misfire:
        case Misfire.SKIP:
            return ""
        case Misfire.FIRE_ONCE:
            return "; of missed fires, the latest runs late"
        case Misfire.FIRE_ALL:
            return f"; missed fires run late, at most {CATCH_UP_LIMIT}"
        case _:
            assert_never(misfire)
