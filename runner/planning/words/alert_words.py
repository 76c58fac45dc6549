"""The expectations and the receivers of a request, in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from runner.lifecycle import Check
from runner.requests.policies import Expect, Route
from runner.values import duration_text

_ORDER = tuple(Check)
_DAY = timedelta(hours=24)


def expect_words(expect: Expect) -> str | None:
    """Return what is expected; None for nothing.

    >>> expect_words(Expect(duration=timedelta(minutes=30), success_every=timedelta(hours=26)))
    'to run at most 30m, a success every 1d2h'
    """
    limits = {
        "to start within": expect.start_within,
        "to finish within": expect.finish_within,
        "to run at most": expect.duration,
        "a success every": expect.success_every,
    }
    parts = [f"{what} {duration_text(limit)}" for what, limit in limits.items() if limit]
    return ", ".join(parts) or None


def routes_words(routes: Sequence[Route]) -> list[str]:
    """Return a line for each route.

    >>> routes_words([Route(to="ops"), Route(to="pager", on=frozenset({Check.LATE}), after=2)])
    ['ops: failure, missed, invalid', 'pager: late; after 2']
    """
    return [_route_words(route) for route in routes]


def _route_words(route: Route) -> str:
    parts = [f"{route.to}: {', '.join(check for check in _ORDER if check in route.on)}"]
    if route.after > 1:
        parts.append(f"after {route.after}")
    if route.repeat != _DAY:
        parts.append(f"repeated every {duration_text(route.repeat)}")
    if not route.recovery:
        parts.append("without recovery")
    return "; ".join(parts)
