"""Which checks the routes of a request ask for. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runner.lifecycle import Check
from runner.planning.alerts.alert import Alert
from runner.requests.model import ProcessRequest
from runner.requests.policies import Route

_IF_ASKED_FOR = frozenset({Check.SKIPPED})
"""A skipped fire is no failure, so the runner keeps this check only where a route names it."""


def routes_of(request: ProcessRequest | None, default: Sequence[Route]) -> Sequence[Route]:
    """Return the routes for a request's alerts, or for the runner's own.

    `default` are the runner's routes. They serve every request that has no `notify`.
    """
    return default if request is None or request.notify is None else request.notify


def asks_for(route: Route, alert: Alert) -> bool:
    """Return whether a route asks for an alert. The runner's own go to all of its routes."""
    return alert.request is None or alert.check in route.on


def is_watched(check: Check, routes: Sequence[Route]) -> bool:
    """Return whether the runner keeps a check."""
    return check not in _IF_ASKED_FOR or any(check in route.on for route in routes)


def threshold(check: Check, routes: Sequence[Route]) -> int:
    """Return the count at which an alert opens: the smallest `after` of the routes for it."""
    return min((route.after for route in routes if check in route.on), default=1)
