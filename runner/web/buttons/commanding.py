"""From what a person fills in to a command, and what the command would do.

The words of the preview come from the functions that the runner decides with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from runner.access.backfill import fires_to_run, past_of
from runner.access.params import refuse_secrets
from runner.commands import LONGEST_REASON, Answer, Command, CommandKind
from runner.errors import RefusedError, UsageError
from runner.requests.model import ProcessRequest
from runner.timing.typed_times import OfDay, Toward, read_time
from runner.web.actions import ACTIONS, Action, Target
from runner.web.identity.roles import Viewer
from runner.web.site import Site

_MOST_PARAMS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person wants to do: an action to a target, with the values of its fields.

    `target` is None for all requests, or for the runner.
    """

    action: Action
    target: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    """For exec: the parameters that differ from the request's own."""


def action_named(name: str) -> Action:
    """Return an action by name. Raises UsageError."""
    if name not in ACTIONS:
        raise UsageError(f"there is no action {name!r}")
    return ACTIONS[name]


def act(site: Site, viewer: Viewer, wish: Wish) -> Answer:
    """Do what a viewer wants, and return the runner's answer.

    Raises UsageError for values that make no sense, and the errors of `Site.ask`.
    """
    return site.ask(viewer, command_of(site, viewer, wish))


def command_of(site: Site, viewer: Viewer, wish: Wish) -> Command:
    """Return the command for a wish. Raises ForbiddenError, UsageError and RefusedError."""
    action, target = wish.action, wish.target
    if target is None and not (action.is_for_all or action.target is Target.RUNNER):
        raise UsageError(f"{action.title}: say which {action.target}")
    command = Command(
        kind=action.kind,
        targets=() if target is None else (target,),
        is_for_all=action.is_for_all and target is None,
        reason=_reason(wish),
        until=_until(site, wish),
        params=_params(wish),
    )
    site.require(viewer, command)
    if command.params:
        refuse_secrets(command, site.places)
    if action.kind is CommandKind.BACKFILL:
        return _with_fires(command, site, wish)
    return command


def _reason(wish: Wish) -> str | None:
    if wish.action.kind is not CommandKind.PAUSE:
        return None
    reason = wish.values.get("reason", "").strip()
    if not reason:
        raise UsageError("a pause needs a reason: others see it")
    if len(reason) > LONGEST_REASON:
        raise UsageError(f"the reason is longer than {LONGEST_REASON} characters")
    return reason


def _until(site: Site, wish: Wish) -> datetime | None:
    text = wish.values.get("until", "").strip()
    wanted = next((each for each in wish.action.fields if each.name == "until"), None)
    if wanted is None:
        return None
    if not text:
        if wanted.is_required:
            raise UsageError("say until when, such as 18:00 or 2h")
        return None
    now = datetime.now(UTC)
    end = read_time("until", text, site.places.zone, now, toward=Toward.FUTURE, of_day=OfDay.AFTER)
    if end <= now:
        raise UsageError(f"until: {text} is not in the future")
    return end


def _params(wish: Wish) -> dict[str, Any]:
    if not wish.params:
        return {}
    if wish.action.kind is not CommandKind.EXEC:
        raise UsageError(f"{wish.action.title} takes no parameters")
    if len(wish.params) > _MOST_PARAMS or not all(map(str.isidentifier, wish.params)):
        raise UsageError("a parameter's name has letters, digits and `_`; there are at most 100")
    return dict(wish.params)


def _with_fires(command: Command, site: Site, wish: Wish) -> Command:
    """Return a backfill with its fires. Raises UsageError, RefusedError."""
    loaded, zone = site.loaded(), site.places.zone

    def typed(name: str, of_day: OfDay) -> datetime:
        text = wish.values.get(name, "").strip()
        return read_time(name, text, zone, loaded.now, toward=Toward.PAST, of_day=of_day)

    first, last = typed("from", OfDay.FIRST), typed("to", OfDay.LAST)
    if last < first:
        raise UsageError("`to` is earlier than `from`")
    past = past_of(command.targets[0], loaded, site.places)
    fires = fires_to_run(past, first, min(last, loaded.now), None, is_for_all=False)
    if not fires:
        raise RefusedError("no fire of this span is left to run")
    return replace(command, fires=fires)


def param_fields(request: ProcessRequest) -> Mapping[str, Any]:
    """Return the parameters of a request's process, with their own values, for a form.

    One that `secrets` names is left out: a form would show it.
    """
    secret = {name.upper() for name in request.process.secrets}
    return {
        name: value
        for name, value in request.process.params.items()
        if secret.isdisjoint((name.upper(), f"RUNNER_PARAM_{name.upper()}"))
    }
