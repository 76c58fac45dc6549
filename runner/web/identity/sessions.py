"""Sessions: a signed cookie that says who logged in, and one-time logins.

The cookie names a token; the token itself is looked up with each request, so a removed
token ends its sessions at once. The library itsdangerous signs. Touches the files of the
key and of the logouts.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from itsdangerous import BadData, URLSafeTimedSerializer

from runner.requests.files.permissions import require_trusted
from runner.system.regular_files import read_regular
from runner.web.identity.logouts import Logouts
from runner.web.identity.tokens import Token, write_private

KEY_FILE = "web.key"
"""The name of the key's file in the state folder."""
LASTS_S = 7 * 24 * 3600
"""How long a login lasts, in seconds."""
CODE_LASTS_S = 3600.0
"""How long a one-time login is valid, in seconds."""
_KEY_BYTES = 32
_LONGEST_COOKIE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A login of a browser."""

    id: str
    csrf: str
    """What each form of this session must send back."""
    name: str
    """The token's name, or the person's."""
    fingerprint: str | None
    """Of the token; None for the person who runs the page."""


class Sessions:
    """Makes and reads the cookies of one state folder."""

    def __init__(self, state: Path) -> None:
        """Raises OSError, and RefusedError for a key that root must not trust."""
        self._signer = URLSafeTimedSerializer(_key(state / KEY_FILE), salt="runner session")
        self._logouts = Logouts(state)
        self.cookie = f"runner-{hashlib.sha256(str(state).encode()).hexdigest()[:8]}"
        """The cookie's name. Cookies ignore the port, so each state folder has its own."""

    def begun(self, name: str, token: Token | None) -> str:
        """Return the cookie of a new session; `token` is None for the person."""
        fingerprint = None if token is None else fingerprint_of(token)
        stored = {
            "id": secrets.token_urlsafe(12),
            "csrf": secrets.token_urlsafe(24),
            "name": name,
            "token": fingerprint,
        }
        return str(self._signer.dumps(stored))

    def read(self, cookie: str) -> Session | None:
        """Return the session of a cookie; None if it is forged, too old, or logged out.

        Raises as `Logouts.ids`.
        """
        if len(cookie) > _LONGEST_COOKIE:
            return None
        try:
            stored = self._signer.loads(cookie, max_age=LASTS_S)
        except BadData:
            return None
        session = _session(stored)
        return None if session.id in self._logouts.ids() else session

    def end(self, session: Session) -> None:
        """Log out: the cookie is worthless from now on, even if somebody has copied it.

        Raises as `Logouts.add`.
        """
        self._logouts.add(session.id, time.time() + LASTS_S)


class OneTimeLogin:
    """A secret that logs in once, for the link that `runner web` prints."""

    def __init__(self) -> None:
        self.code = secrets.token_urlsafe(32)
        self._lock = Lock()
        self._valid_until_s = time.monotonic() + CODE_LASTS_S
        self._is_used = False

    def take(self, code: str) -> bool:
        """Return whether the code is right and was not used before."""
        with self._lock:
            is_right = hmac.compare_digest(self.code.encode(), code.encode("utf-8", "replace"))
            if not is_right or self._is_used or time.monotonic() > self._valid_until_s:
                return False
            self._is_used = True
            return True


def fingerprint_of(token: Token) -> str:
    """Return what a cookie says of its token. What is stored of the token stays here."""
    return hashlib.sha256(b"fingerprint " + token.sha256.encode()).hexdigest()


def _session(stored: Mapping[str, str | None]) -> Session:
    return Session(
        id=str(stored["id"]),
        csrf=str(stored["csrf"]),
        name=str(stored["name"]),
        fingerprint=stored["token"],
    )


def _key(path: Path) -> bytes:
    """Return the key that signs, after making it if there is none."""
    try:
        require_trusted(path, "the key of the page")
        key = read_regular(path, at_most=_LONGEST_COOKIE)
        if len(key) >= _KEY_BYTES:
            return key
    except FileNotFoundError:
        pass
    key = secrets.token_bytes(_KEY_BYTES)
    write_private(path, key)
    return key
