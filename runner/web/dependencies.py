"""What a request handler asks for: the viewer, the site.

All of it is looked up in the event loop: a hand-over to a thread and back takes longer,
while other threads compute, than the look-up.

`CurrentViewer` lets nobody in without a login, and no change in without the token of its
form. A router that forgets it is guarded all the same: `application` adds it.
"""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import Depends, Request

from runner.web.identity.authentication import Authentication, Identity
from runner.web.identity.roles import ForbiddenError, Viewer
from runner.web.protection import SAFE_METHODS
from runner.web.site import Site

CSRF_FIELD, CSRF_HEADER = "csrf", "x-csrf-token"
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class LoginRequiredError(Exception):
    """A stranger asked for something that needs a login."""


async def current_site(request: Request) -> Site:
    """Return the site of the application."""
    site: Site = request.app.state.site
    return site


def authentication_of(request: Request) -> Authentication:
    """Return who may come in."""
    authentication: Authentication = request.app.state.authentication
    return authentication


async def current_authentication(request: Request) -> Authentication:
    """Return who may come in."""
    return authentication_of(request)


async def current_identity(request: Request) -> Identity:
    """Return who sent the request.

    Raises LoginRequiredError for a stranger, TooManyFailuresError, and ForbiddenError for
    a change that lacks the token of the session's forms.
    """
    identity = authentication_of(request).identity_of(request)
    if identity is None:
        raise LoginRequiredError
    request.state.viewer = identity.viewer.name  # for the report of a refusal
    if request.method not in SAFE_METHODS and identity.session is not None:
        given = request.headers.get(CSRF_HEADER) or await _form_field(request)
        if not hmac.compare_digest(
            given.encode("utf-8", "replace"), identity.session.csrf.encode()
        ):
            raise ForbiddenError("the form is too old, or comes from another page: load it again")
    return identity


async def _form_field(request: Request) -> str:
    if not request.headers.get("content-type", "").startswith(_FORMS):
        return ""
    given = (await request.form()).get(CSRF_FIELD)
    return given if isinstance(given, str) else ""


CurrentIdentity = Annotated[Identity, Depends(current_identity)]


async def current_viewer(identity: CurrentIdentity) -> Viewer:
    """Return who asks."""
    return identity.viewer


CurrentViewer = Annotated[Viewer, Depends(current_viewer)]
CurrentSite = Annotated[Site, Depends(current_site)]
CurrentAuthentication = Annotated[Authentication, Depends(current_authentication)]
