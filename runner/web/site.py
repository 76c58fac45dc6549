"""Everything that a request handler may read or do. Thread-safe.

What a viewer may see is decided by `admits`, and what a viewer may do by `ask`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runner.access.executions import processing
from runner.access.loading import Loaded, load_served
from runner.access.places import Places
from runner.access.reaching import asked
from runner.access.troubles import why_nothing_fires
from runner.commands import Answer, Command, CommandKind
from runner.errors import RefusedError, RunnerError
from runner.history.reading.index import HistoryIndex
from runner.service.executions.execution import Execution, execution_of
from runner.store.opening import owner_of
from runner.web.actions import ACTIONS, Action
from runner.web.identity.roles import ForbiddenError, Scope, Viewer
from runner.web.shared import Shared

if TYPE_CHECKING:
    from collections.abc import Mapping

Record = dict[str, Any]
_ZONE_S = 10.0
"""How old, in seconds, the runner's zone may be."""
_FRESH_S = 1.0
"""How old, in seconds, what all viewers share may be, unless it takes long to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a runner fires; `trouble` says why not."""

    is_alive: bool
    trouble: str | None


class Site:
    """The state of a runner as the page shows it, and the way to its mailbox."""

    def __init__(self, places: Places) -> None:
        # A copy has read nothing yet.
        self._places = Shared(lambda: replace(places), _ZONE_S)
        self.log = places.followed_log
        """The monitor log. Where it is a copy, the server keeps it up to date."""
        self.history = HistoryIndex(places.history_folder)
        self.changes = 0
        """How many commands viewers have given: what was shown before may be over."""
        self._loaded = Shared(lambda: load_served(self.places), _FRESH_S)
        self._running = Shared(lambda: processing(self.places), _FRESH_S)
        self._health = Shared(self._look_at_health, _FRESH_S)

    @property
    def places(self) -> Places:
        """Where everything is, and the zone of the runner, which may change with it."""
        return self._places.value()

    def loaded(self) -> Loaded:
        """Return the requests, states, alerts and rejections, as old as `_FRESH_S` says.

        Raises UsageError without a jobs folder, and StoreError.
        """
        return self._loaded.value()

    def running(self) -> Sequence[Record]:
        """Return the started records of the executions in progress, as old as `_FRESH_S` says.

        Raises StoreError: an empty result means that nothing runs.
        """
        return self._running.value()

    def health(self) -> Health:
        """Return whether a runner fires, as old as `_FRESH_S` says. Raises StoreError."""
        return self._health.value()

    def require(self, viewer: Viewer, command: Command) -> None:
        """Raise ForbiddenError if the viewer's role or scope does not allow a command, and
        RefusedError for a target that the viewer cannot see.
        """
        action = ACTIONS[command.kind]
        if not viewer.role.allows(action.role):
            raise ForbiddenError(f"{action.title} needs the role {action.role}")
        if not viewer.scope.is_everything:
            self._require_inside(viewer.scope, action, command)

    def ask(self, viewer: Viewer, command: Command) -> Answer:
        """Give a command to the runner as this viewer, and return its answer.

        Raises the errors of `require`, and NoRunnerError, as `asked`.
        """
        self.require(viewer, command)
        answer = asked(self.places, replace(command, requested_by=viewer.requested_by))
        for shared in (self._loaded, self._running):
            shared.forget()
        self.changes += 1
        return answer

    def note_login(self, viewer: Viewer) -> None:
        """Have the runner record a login. If none is running, there is no record."""
        command = Command(kind=CommandKind.LOGIN, requested_by=viewer.requested_by)
        with suppress(RunnerError):
            asked(self.places, command)

    def is_seen(self, viewer: Viewer, name: str) -> bool:
        """Return whether a viewer may see a request, by name. False for an unknown one."""
        request = self.loaded().in_force.requests.get(name)
        if request is None:
            return viewer.scope.is_everything
        return viewer.scope.admits(request.labels, request.context.client)

    def _require_inside(self, scope: Scope, action: Action, command: Command) -> None:
        if command.is_for_all or not command.targets:
            raise ForbiddenError(f"{action.title} for everything needs a token without a scope")
        for target in command.targets:
            if not self._is_inside(scope, command.kind, target):
                # Whether it exists at all is not for this viewer to know.
                raise RefusedError(f"there is no {action.target} {target!r}")

    def _is_inside(self, scope: Scope, kind: CommandKind, target: str) -> bool:
        if kind is CommandKind.KILL:
            found = [each for each in self._executions() if target in (each.id, each.request)]
            return bool(found) and all(
                scope.admits(each.claim.labels, each.claim.context.client) for each in found
            )
        name = target.partition("/")[0] if kind is CommandKind.ACKNOWLEDGE else target
        request = self.loaded().in_force.requests.get(name)
        return request is not None and scope.admits(request.labels, request.context.client)

    def _executions(self) -> list[Execution]:
        return [execution_of(row) for row in load_served(self.places).snapshot.executions]

    def _look_at_health(self) -> Health:
        if owner_of(self.places.store) is None:
            return Health(is_alive=False, trouble="no runner is running")
        return Health(is_alive=True, trouble=why_nothing_fires(self.places, datetime.now(UTC)))


def admits_record(scope: Scope, record: Mapping[str, Any]) -> bool:
    """Return whether a viewer with this scope may see a record of the monitor log.

    A record that is not about an execution of a request has no labels: only a viewer
    without a scope sees it.
    """
    context = record.get("context") or {}
    return scope.admits(record.get("labels") or {}, context.get("client"))
