"""What a viewer may do: one table for the buttons and the API. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from runner.commands import CommandKind
from runner.web.identity.roles import Role


class Target(StrEnum):
    """What an action is about."""

    REQUEST = "request"
    EXECUTION = "execution"
    ALERT = "alert"
    RUNNER = "runner"
    """The runner as a whole, which only a viewer without a scope may touch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A value that an action takes besides its target. All are texts, as people type them."""

    name: str
    label: str
    is_required: bool = False
    example: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something that a viewer with `role` may do to a target."""

    kind: CommandKind
    role: Role
    target: Target
    title: str
    """The words on its button."""
    effect: str
    """What it does, as a sentence that follows the target's name."""
    fields: tuple[Field, ...] = ()
    is_for_all: bool = False
    """Whether it may also be done to all requests at once, without a target."""

    @property
    def name(self) -> str:
        """The action in a URL."""
        return str(self.kind)


_UNTIL = Field(name="until", label="Until", example="18:00, 2h, 2026-12-24 18:00")
_ALL = (
    Action(
        kind=CommandKind.SCHEDULE,
        role=Role.OPERATOR,
        target=Target.REQUEST,
        title="Schedule",
        effect="fires again from now on.",
    ),
    Action(
        kind=CommandKind.UNSCHEDULE,
        role=Role.OPERATOR,
        target=Target.REQUEST,
        title="Unschedule",
        effect="does not fire any more; running executions continue.",
    ),
    Action(
        kind=CommandKind.RESCHEDULE,
        role=Role.OPERATOR,
        target=Target.REQUEST,
        title="Reschedule",
        effect="runs again if it is one-time; a schedule begins anew, with all its repetitions.",
    ),
    Action(
        kind=CommandKind.EXEC,
        role=Role.OPERATOR,
        target=Target.REQUEST,
        title="Run now",
        effect="runs once, now.",
    ),
    Action(
        kind=CommandKind.KILL,
        role=Role.OPERATOR,
        target=Target.EXECUTION,
        title="Kill",
        effect="gets the stop signal, and after the grace period SIGKILL, with its process tree.",
    ),
    Action(
        kind=CommandKind.ACKNOWLEDGE,
        role=Role.OPERATOR,
        target=Target.ALERT,
        title="Acknowledge",
        effect="repeats no message until that time.",
        fields=(Field(name="until", label="Until", is_required=True, example="18:00, 2h"),),
    ),
    Action(
        kind=CommandKind.PAUSE,
        role=Role.ADMIN,
        target=Target.REQUEST,
        title="Pause",
        effect="does not fire until the pause ends; running executions continue.",
        fields=(
            Field(name="reason", label="Reason", is_required=True, example="the database moves"),
            _UNTIL,
        ),
        is_for_all=True,
    ),
    Action(
        kind=CommandKind.RESUME,
        role=Role.ADMIN,
        target=Target.REQUEST,
        title="Resume",
        effect="fires again; one-time requests of the pause run now.",
        is_for_all=True,
    ),
    Action(
        kind=CommandKind.BACKFILL,
        role=Role.ADMIN,
        target=Target.REQUEST,
        title="Backfill",
        effect="runs its fires of a past span that have no success, the oldest first.",
        fields=(
            Field(name="from", label="From", is_required=True, example="2026-11-01"),
            Field(name="to", label="To", is_required=True, example="2026-11-07"),
        ),
    ),
    Action(
        kind=CommandKind.RELOAD,
        role=Role.ADMIN,
        target=Target.RUNNER,
        title="Reload",
        effect="reads its jobs folder now.",
    ),
)
ACTIONS: Mapping[str, Action] = {action.name: action for action in _ALL}
"""By name."""
