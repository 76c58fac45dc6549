"""The present as one viewer may see it, for one page. Reads through the site."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from runner.access.loading import Loaded
from runner.access.places import Places
from runner.access.shown.request_items import views_of
from runner.lifecycle import ExecutionStatus
from runner.planning.alerts.alert import Alert
from runner.planning.views.request_view import RequestView
from runner.service.alerts.stored_alerts import open_alerts
from runner.web.actions import ACTIONS, Action, Target
from runner.web.identity.roles import Viewer
from runner.web.pages.wording import Clock
from runner.web.site import Site, admits_record

Record = Mapping[str, Any]
Admits = Callable[[Mapping[str, str], str | None], bool]


@dataclass(frozen=True, kw_only=True)
class Present:
    """What the pages show of now: the requests, alerts and executions of a viewer's scope."""

    site: Site
    viewer: Viewer
    now: datetime

    @property
    def places(self) -> Places:
        """Where the runner's files are."""
        return self.site.places

    @cached_property
    def loaded(self) -> Loaded:
        """The requests and states, whole: whoever shows of it asks `is_seen`."""
        return self.site.loaded()

    @cached_property
    def clock(self) -> Clock:
        """Writes instants in the runner's zone."""
        return Clock(zone=self.places.zone, now=self.now)

    @cached_property
    def admits(self) -> Admits | None:
        """The viewer's scope, for the history; None for everything."""
        scope = self.viewer.scope
        return None if scope.is_everything else scope.admits

    @cached_property
    def views(self) -> Sequence[RequestView]:
        """The requests that the viewer may see, by name. A rejected file has no name."""
        if self.admits is None:
            return views_of(self.loaded)
        names = frozenset(filter(self.is_seen, self.loaded.in_force.requests))
        return views_of(self.loaded, among=names)

    def view(self, name: str) -> RequestView | None:
        """Return a request, or a rejected document, that the viewer may see; None for none."""
        if not name or not self.is_seen(name):
            return None
        return next(iter(views_of(self.loaded, among=frozenset({name}))), None)

    @cached_property
    def alerts(self) -> Sequence[Alert]:
        """The open alerts of these requests; without a scope also the runner's own."""
        found = open_alerts(self.loaded.snapshot.alerts)
        return [each for each in found if self._is_alert_seen(each)]

    @cached_property
    def running(self) -> Sequence[Record]:
        """The started records of the executions in progress, members included."""
        return [each for each in self.site.running() if admits_record(self.viewer.scope, each)]

    @property
    def waiting(self) -> int:
        """How many executions wait for their start."""
        snapshot = self.loaded.snapshot
        return sum(
            (row.phase.is_before_start or row.id in snapshot.offers) and self.is_seen(row.request)
            for row in snapshot.executions
        )

    def is_seen(self, name: str) -> bool:
        """Return whether the viewer may see a request."""
        return self.admits is None or self.site.is_seen(self.viewer, name)

    def is_recovered(self, name: str) -> bool:
        """Return whether a request's last result is a success: no earlier failure is red."""
        result = self.loaded.results.of(name)
        return result is not None and result.status is ExecutionStatus.SUCCESS

    def actions(self, target: Target) -> list[Action]:
        """Return what the viewer's role allows to do to such a target."""
        return [
            each
            for each in ACTIONS.values()
            if each.target is target and self.viewer.role.allows(each.role)
        ]

    def _is_alert_seen(self, alert: Alert) -> bool:
        return self.admits is None if alert.request is None else self.is_seen(alert.request)


def present(site: Site, viewer: Viewer) -> Present:
    """Return what a viewer sees now."""
    return Present(site=site, viewer=viewer, now=datetime.now(UTC))
