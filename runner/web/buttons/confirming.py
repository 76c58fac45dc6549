"""The page between a button and what it does: what would happen, and a form to do it.

Opening the page changes nothing, so a link in a message may lead here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from runner.access.params import param_value
from runner.commands import CommandKind
from runner.errors import RefusedError, UsageError
from runner.web.actions import Action, Target
from runner.web.buttons.commanding import Wish, act, action_named, command_of, param_fields
from runner.web.buttons.previewing import preview
from runner.web.dependencies import CurrentIdentity, CurrentSite
from runner.web.identity.authentication import Identity
from runner.web.identity.roles import ForbiddenError
from runner.web.rendering import rendered
from runner.web.site import Site

router = APIRouter(include_in_schema=False)
PARAM = "param."
"""Begins the name of a parameter's field in the form."""
_LONGEST = 10_000


async def submitted(request: Request) -> Mapping[str, str]:
    """Return the fields of a form."""
    return {name: each for name, each in (await request.form()).items() if isinstance(each, str)}


Submitted = Annotated[Mapping[str, str], Depends(submitted)]
TargetText = Annotated[str, Query(max_length=_LONGEST)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """A field of the form, with what was filled in."""

    name: str
    label: str
    value: str
    example: str
    is_required: bool


@router.get("/confirm/{name}")
def confirm(
    name: str, site: CurrentSite, identity: CurrentIdentity, target: TargetText = ""
) -> Response:
    """Show what an action would do, and ask."""
    action = action_named(name)
    wish = Wish(action=action, target=target or None)
    lines: list[str] = []
    has_required = any(each.is_required for each in action.fields)
    if not has_required:
        lines = preview(site, command_of(site, identity.viewer, wish))
    else:  # what it would do depends on what is filled in
        _require_role(identity, action)
    return _form(site, identity, wish, {}, lines, None)


@router.post("/confirm/{name}")
def carry_out(name: str, site: CurrentSite, identity: CurrentIdentity, form: Submitted) -> Response:
    """Do it, and show what became of it; first show the fires of a backfill."""
    wish = _wish(site, action_named(name), form)
    try:
        command = command_of(site, identity.viewer, wish)
        seen = " ".join(wish.values.values())
        if wish.action.kind is CommandKind.BACKFILL and form.get("seen") != seen:
            return _form(site, identity, wish, form, preview(site, command), None, seen=seen)
        answer = act(site, identity.viewer, wish)
    except ForbiddenError:
        raise
    except (UsageError, RefusedError) as error:
        return _form(site, identity, wish, form, [], str(error), status=409)
    if not answer.is_done:
        refusal = "; ".join(answer.lines) or "the runner refused it"
        return _form(site, identity, wish, form, [], refusal, status=409)
    execution = answer.data.get("execution")
    there = f"/executions/{execution}" if execution else _back(wish)
    return RedirectResponse(there, 303)


def _require_role(identity: Identity, action: Action) -> None:
    if not identity.viewer.role.allows(action.role):
        raise ForbiddenError(f"{action.title} needs the role {action.role}")


def _wish(site: Site, action: Action, form: Mapping[str, str]) -> Wish:
    target = form.get("target") or None
    params: dict[str, Any] = {}
    if action.kind is CommandKind.EXEC and target is not None:
        own = {name: _text(value) for name, value in _params_of(site, target).items()}
        params = {
            name.removeprefix(PARAM): param_value(text)
            for name, text in form.items()
            if name.startswith(PARAM) and own.get(name.removeprefix(PARAM)) != text
        }
    values = {each.name: form.get(each.name, "")[:_LONGEST] for each in action.fields}
    return Wish(action=action, target=target, values=values, params=params)


def _params_of(site: Site, target: str) -> Mapping[str, Any]:
    request = site.loaded().in_force.requests.get(target)
    return {} if request is None else param_fields(request)


def _text(value: object) -> str:
    """Return a parameter's value as a person types it: a text, or JSON."""
    is_plain = isinstance(value, str) and value.isprintable() and param_value(value) == value
    return str(value) if is_plain else json.dumps(value)


def _form(
    site: Site,
    identity: Identity,
    wish: Wish,
    form: Mapping[str, str],
    lines: list[str],
    refusal: str | None,
    *,
    status: int = 200,
    seen: str = "",
) -> Response:
    session = identity.session
    return rendered(
        "plain_confirm.html",
        status=status,
        title=wish.action.title,
        action=wish.action,
        post_url=f"/confirm/{wish.action.name}",
        csrf=session.csrf if session is not None else "",
        target=wish.target,
        shown_target=_shown(wish),
        preview=lines,
        refusal=refusal,
        fields=_fields(site, identity, wish, form),
        seen=seen,
        back=_back(wish),
    )


def _fields(site: Site, identity: Identity, wish: Wish, form: Mapping[str, str]) -> list[FormField]:
    fields = [
        FormField(
            name=each.name,
            label=each.label,
            value=form.get(each.name, ""),
            example=each.example,
            is_required=each.is_required,
        )
        for each in wish.action.fields
    ]
    if wish.action.kind is CommandKind.EXEC and wish.target is not None:
        if not site.is_seen(identity.viewer, wish.target):
            return fields
        fields += [
            FormField(
                name=PARAM + name,
                label=name,
                value=form.get(PARAM + name, _text(value)),
                example="",
                is_required=False,
            )
            for name, value in _params_of(site, wish.target).items()
        ]
    return fields


def _shown(wish: Wish) -> str:
    if wish.target is not None:
        return wish.target
    return "The runner" if wish.action.target is Target.RUNNER else "Every request"


def _back(wish: Wish) -> str:
    """Return the page that an action was chosen on."""
    if wish.target is None:
        return "/"
    match wish.action.target:
        case Target.EXECUTION:
            return f"/executions/{quote(wish.target, safe='')}"
        case Target.REQUEST:
            return f"/requests/{quote(wish.target, safe='')}"
        case _:
            return "/"
