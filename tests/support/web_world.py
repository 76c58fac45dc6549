"""The page of a jobs folder, without a server process: for tests of its parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from starlette.routing import Mount
from support.place import Place

from runner.access.places import Places, places
from runner.history.building.builder import Builder
from runner.history.building.retention import Limits
from runner.history.tables import index_path
from runner.web.application import application
from runner.web.identity.authentication import Authentication
from runner.web.identity.roles import Role, Scope
from runner.web.identity.tokens import Tokens, new_token
from runner.web.protection import Names
from runner.web.site import Site

NO_NAMES, EVERYTHING = Names(), Scope()
HOST = "localhost:8080"
ORIGIN = f"http://{HOST}"
STATIC = "/static"


def places_of(place: Place) -> Places:
    """Return the places of a jobs folder, for code that runs in the test."""
    found = places(place.jobs, place.state, None, "UTC", is_guarded=False)
    return replace(found, given_url=place.store.url)


class WebWorld:
    """The application on a jobs folder, and browsers in front of it."""

    def __init__(self, place: Place, *, names: Names = NO_NAMES, is_secure: bool = False) -> None:
        self.place = place
        place.state.mkdir(exist_ok=True)
        self.tokens = Tokens(place.state)
        self._names = names
        self._is_secure = is_secure

    @cached_property
    def authentication(self) -> Authentication:
        """Who may come in."""
        return Authentication(self.place.state, is_socket_trusted=True, is_secure=self._is_secure)

    @cached_property
    def site(self) -> Site:
        """What the handlers see."""
        return Site(places_of(self.place))

    @cached_property
    def app(self) -> FastAPI:
        """The application."""
        return application(self.site, self.authentication, self._names)

    def index(self) -> None:
        """Bring the history index up to date with the monitor log."""
        builder = Builder(index_path(self.place.state), self.place.log, Limits())
        while builder.step():
            pass
        builder.close()

    def secret(
        self,
        name: str,
        role: Role = Role.VIEWER,
        scope: Scope = EVERYTHING,
        *,
        expires: datetime | None = None,
    ) -> str:
        """Make a token, and return its secret."""
        token, secret = new_token(name, role, scope, expires=expires)
        self.tokens.add(token)
        return secret

    def stranger(self, **options: Any) -> TestClient:
        """Return a client without a login."""
        return TestClient(
            self.app,
            base_url=ORIGIN,
            follow_redirects=False,
            raise_server_exceptions=True,
            **options,
        )

    def program(self, name: str, role: Role = Role.VIEWER, scope: Scope = EVERYTHING) -> TestClient:
        """Return a client that sends a token of its own as a bearer."""
        return self.stranger(headers={"authorization": f"Bearer {self.secret(name, role, scope)}"})

    def browser(self, name: str, role: Role = Role.VIEWER, scope: Scope = EVERYTHING) -> TestClient:
        """Return a browser in which somebody has logged in with a token."""
        browser = self.stranger(headers={"origin": ORIGIN})
        done = browser.post("/login", data={"token": self.secret(name, role, scope)})
        assert done.status_code == 303, done.text
        return browser

    def csrf(self, browser: TestClient) -> str:
        """Return the token that the forms of a browser's session carry."""
        cookie = browser.cookies[self.authentication.sessions.cookie]
        session = self.authentication.sessions.read(cookie)
        assert session is not None
        return session.csrf


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Yield method and path of every route, but those of the static files."""
    found = list(iter_route_contexts(app.routes))
    assert len(found) > 5
    for context in found:
        if isinstance(context.original_route, Mount):
            assert context.path == STATIC
            continue
        assert context.path is not None and context.methods, context
        for method in sorted(context.methods):
            yield method, context.path
