"""The application: its routers, behind its protection."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from loguru import logger
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from runner import __version__
from runner.errors import NoRunnerError, RefusedError, RunnerError, StoreError, UsageError
from runner.values import neutral
from runner.web import health, login, scraping
from runner.web.api import routes as api
from runner.web.buttons import confirming
from runner.web.dependencies import LoginRequiredError, current_identity
from runner.web.identity.authentication import Authentication, TooManyFailuresError
from runner.web.identity.roles import ForbiddenError
from runner.web.pages import routes as pages
from runner.web.protection import SAFE_METHODS, Names, Protection
from runner.web.rendering import rendered
from runner.web.site import Site

_MACHINES = ("/api/", "/metrics")
"""The paths whose readers are programs."""
_STATUS: dict[type[RunnerError], int] = {
    ForbiddenError: 403,
    NoRunnerError: 503,
    StoreError: 503,
    RefusedError: 409,
    UsageError: 400,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request gets no answer, for a person and for a program."""

    status: int
    title: str
    words: str


def application(site: Site, authentication: Authentication, names: Names) -> FastAPI:
    """Return the whole page as an ASGI application.

    Each router but login and health is guarded here, so that none can forget it.
    """
    app = FastAPI(
        title="Runner",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        middleware=[Middleware(Protection, names=names)],
    )
    app.state.site = site
    app.state.authentication = authentication
    api.prepare(app, site)
    app.include_router(health.router)
    app.include_router(login.router)
    guarded = (login.logout_router, confirming.router, scraping.router, pages.router, api.router)
    for router in guarded:
        app.include_router(router, dependencies=[Depends(current_identity)])
    static = StaticFiles(packages=[("runner.web.pages", "static")])
    app.mount("/static", static)
    _handle_errors(app)
    return app


def _handle_errors(app: FastAPI) -> None:
    app.add_exception_handler(LoginRequiredError, _to_login)
    app.add_exception_handler(TooManyFailuresError, _too_many)
    app.add_exception_handler(RunnerError, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _malformed)


def _to_login(request: Request, _: Exception) -> Response:
    """Ask for a login: a person on the login page, a program by the status."""
    if _is_for_machine(request):
        refusal = Refusal(status=401, title="Login required", words="send a token as a bearer")
        response = _problem(refusal)
        response.headers["www-authenticate"] = "Bearer"
        return response
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method not in SAFE_METHODS:
        return RedirectResponse(login.PATH, 303)
    if request.headers.get("sec-fetch-site") == "cross-site":
        # After a click in a mail the browser keeps the cookie to itself: come again.
        return rendered("arriving.html", to=login.own_path(here))
    return RedirectResponse(f"{login.PATH}?next={quote(here)}", 303)


def _too_many(request: Request, error: Exception) -> Response:
    assert isinstance(error, TooManyFailuresError)
    refusal = Refusal(status=429, title="Too many failed logins", words=str(error))
    response = _answered(request, refusal)
    response.headers["retry-after"] = str(round(error.wait_s) or 1)
    return response


def _refused(request: Request, error: Exception) -> Response:
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    if isinstance(error, ForbiddenError):
        path, who = neutral(request.url.path)[:200], getattr(request.state, "viewer", "?")
        logger.warning("refused {} {} to {}: {}", request.method, path, who, error)
    titles = {403: "Not allowed", 503: "Not available", 400: "Not understood"}
    return _answered(
        request, Refusal(status=status, title=titles.get(status, "Refused"), words=str(error))
    )


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = "There is nothing here." if error.detail == "Not Found" else str(error.detail)
    title = "Not found" if error.status_code == 404 else "Refused"
    response = _answered(request, Refusal(status=error.status_code, title=title, words=words))
    response.headers.update(error.headers or {})
    return response


def _malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    words = "; ".join(
        f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in error.errors()
    )
    return _answered(request, Refusal(status=422, title="Not understood", words=words))


def _answered(request: Request, refusal: Refusal) -> Response:
    if _is_for_machine(request):
        return _problem(refusal)
    return rendered("refusal.html", status=refusal.status, title=refusal.title, words=refusal.words)


def _problem(refusal: Refusal) -> JSONResponse:
    """Return an error as RFC 9457 has it."""
    content = {
        "type": "about:blank",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.words,
    }
    return JSONResponse(content, refusal.status, media_type="application/problem+json")


def _is_for_machine(request: Request) -> bool:
    return request.url.path.startswith(_MACHINES)
