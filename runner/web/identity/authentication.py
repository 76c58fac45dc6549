"""Finds out who sent a request: by a bearer token, a session, or the unix socket."""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from loguru import logger
from starlette.requests import HTTPConnection

from runner.commands import person
from runner.values import neutral
from runner.web.identity.roles import Role, Viewer
from runner.web.identity.sessions import OneTimeLogin, Session, Sessions, fingerprint_of
from runner.web.identity.throttle import Throttle
from runner.web.identity.tokens import Token, Tokens

_BEARER = "bearer "


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who sent a request, and by what; `session` is None without a cookie."""

    viewer: Viewer
    session: Session | None = None


class TooManyFailuresError(Exception):
    """An address must wait before its next attempt to log in."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many failed logins; try again in {round(wait_s) or 1} s")
        self.wait_s = wait_s


class Authentication:
    """Who may come in. Thread-safe."""

    def __init__(self, state: Path, *, is_socket_trusted: bool, is_secure: bool) -> None:
        """`is_socket_trusted` lets everyone in who can open the unix socket. With `is_secure`
        the cookie is sent over TLS only. Raises as `Sessions`.
        """
        self.tokens = Tokens(state)
        self.sessions = Sessions(state)
        self.one_time = OneTimeLogin()
        self.is_secure = is_secure
        self._is_socket_trusted = is_socket_trusted
        self._throttle = Throttle()

    def identity_of(self, connection: HTTPConnection) -> Identity | None:
        """Return who sent a request; None for a stranger. Raises TooManyFailuresError."""
        header = connection.headers.get("authorization")
        if header is not None:
            token = self._of_header(header, address_of(connection))
            return None if token is None else Identity(viewer=token.viewer)
        session = self.session_of(connection)
        if session is not None and (viewer := self._viewer_of(session)) is not None:
            return Identity(viewer=viewer, session=session)
        if self._is_socket_trusted and _is_unix(connection):
            return Identity(viewer=_owner())
        return None

    def session_of(self, connection: HTTPConnection) -> Session | None:
        """Return the session of a request's cookie, if it has a valid one."""
        cookie = connection.cookies.get(self.sessions.cookie)
        return None if cookie is None else self.sessions.read(cookie)

    def viewer_of_cookie(self, cookie: str) -> Viewer | None:
        """Return who a cookie belongs to; None if it is worthless."""
        session = self.sessions.read(cookie)
        return None if session is None else self._viewer_of(session)

    def log_in(self, secret: str, address: str) -> str | None:
        """Return the cookie for the holder of a token; None for a wrong one.

        Raises TooManyFailuresError.
        """
        token = self._token(secret, address)
        return None if token is None else self.sessions.begun(token.name, token)

    def log_in_once(self, code: str, address: str) -> str | None:
        """Return the cookie for the one-time login; None if the code is wrong or used.

        Raises TooManyFailuresError.
        """
        self._require_patience(address)
        if self.one_time.take(code):
            return self.sessions.begun(person(), None)
        self._note_failure(address, "a wrong or used one-time login")
        return None

    def _of_header(self, header: str, address: str) -> Token | None:
        if header[: len(_BEARER)].lower() != _BEARER:
            return None
        return self._token(header[len(_BEARER) :].strip(), address)

    def _token(self, secret: str, address: str) -> Token | None:
        self._require_patience(address)
        token = self.tokens.of_secret(secret, datetime.now(UTC))
        if token is None:
            self._note_failure(address, "a wrong or expired token")
        return token

    def _require_patience(self, address: str) -> None:
        if (wait_s := self._throttle.wait_s(address, time.monotonic())) > 0:
            raise TooManyFailuresError(wait_s)

    def _note_failure(self, address: str, what: str) -> None:
        self._throttle.note_failure(address, time.monotonic())
        logger.warning("refused {} from {}", what, neutral(address))

    def _viewer_of(self, session: Session) -> Viewer | None:
        if session.fingerprint is None:
            return _owner() if session.name == person() else None
        now = datetime.now(UTC)
        for token in self.tokens.all():
            is_same = hmac.compare_digest(fingerprint_of(token), session.fingerprint)
            if is_same and not token.is_expired(now):
                return token.viewer
        return None


def address_of(connection: HTTPConnection) -> str:
    """Return the address of a request's sender; of a unix socket, a word."""
    return connection.client.host if connection.client else "the unix socket"


def _owner() -> Viewer:
    """Return the person who runs the page: who may command the runner by other ways, too."""
    return Viewer(name=person(), role=Role.ADMIN)


def _is_unix(connection: HTTPConnection) -> bool:
    server = connection.scope.get("server")
    return server is not None and server[1] is None
