"""The login page and the logout. Works without JavaScript."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from starlette.background import BackgroundTask
from starlette.responses import HTMLResponse, RedirectResponse

from runner.web.dependencies import CurrentAuthentication, CurrentIdentity, CurrentSite
from runner.web.identity.authentication import Authentication, TooManyFailuresError, address_of
from runner.web.identity.sessions import LASTS_S
from runner.web.rendering import rendered
from runner.web.site import Site

router = APIRouter()
"""For strangers: they need no login here."""
logout_router = APIRouter()
PATH = "/login"
_LONGEST_SECRET = 1000


@router.get(PATH)
def login_page(
    request: Request,
    authentication: CurrentAuthentication,
    site: CurrentSite,
    code: str = "",
    next: str = "/",  # noqa: A002 - a name in URLs
) -> Response:
    """Show the form, or log in by the link that `runner web` prints."""
    if not code:
        return rendered("login.html", next=own_path(next), trouble=None)
    try:
        cookie = authentication.log_in_once(code[:_LONGEST_SECRET], address_of(request))
    except TooManyFailuresError as error:
        return _too_many(error)
    if cookie is None:
        trouble = "This link was used before, or is too old. `runner web` prints a new one."
        return rendered("login.html", status=403, next="/", trouble=trouble)
    # Not a redirect: after a click in a mail it would still count as coming from there,
    # and the browser would keep a cookie with SameSite=Strict to itself.
    return _logged_in(rendered("arriving.html", to=own_path(next)), cookie, authentication, site)


@router.post(PATH)
def log_in(
    request: Request,
    authentication: CurrentAuthentication,
    site: CurrentSite,
    token: Annotated[str, Form(max_length=_LONGEST_SECRET)],
    next: Annotated[str, Form()] = "/",  # noqa: A002 - a name in URLs
) -> Response:
    """Log in with a token."""
    try:
        cookie = authentication.log_in(token.strip(), address_of(request))
    except TooManyFailuresError as error:
        return _too_many(error)
    if cookie is None:
        trouble = "There is no such token, or it has expired."
        return rendered("login.html", status=403, next=own_path(next), trouble=trouble)
    return _logged_in(RedirectResponse(own_path(next), 303), cookie, authentication, site)


@logout_router.post("/logout")
def log_out(identity: CurrentIdentity, authentication: CurrentAuthentication) -> Response:
    """End the session."""
    if identity.session is not None:
        authentication.sessions.end(identity.session)
    response = RedirectResponse(PATH, 303)
    response.delete_cookie(authentication.sessions.cookie)
    return response


def own_path(path: str) -> str:
    """Return a path on this page; the overview for anything that leads elsewhere.

    >>> own_path("/requests/a?b=c"), own_path("//evil.example"), own_path("/\\\\evil.example")
    ('/requests/a?b=c', '/', '/')
    """
    is_own = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if is_own and path.isprintable() else "/"


def _logged_in(
    response: Response, cookie: str, authentication: Authentication, site: Site
) -> Response:
    viewer = authentication.viewer_of_cookie(cookie)
    if viewer is not None:  # recorded afterwards: a runner that hangs keeps nobody waiting
        response.background = BackgroundTask(site.note_login, viewer)
    response.set_cookie(
        authentication.sessions.cookie,
        cookie,
        max_age=LASTS_S,
        httponly=True,
        samesite="strict",
        secure=authentication.is_secure,
    )
    return response


def _too_many(error: TooManyFailuresError) -> HTMLResponse:
    trouble = f"Too many failed logins. Try again in {round(error.wait_s) or 1} s."
    response = rendered("login.html", status=429, next="/", trouble=trouble)
    response.headers["retry-after"] = str(round(error.wait_s) or 1)
    return response
