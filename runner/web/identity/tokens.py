"""The tokens of the page: made, listed, removed and recognised. Touches one file.

Only the SHA-256 of a token is stored. A token has 256 random bits, so a slow hash would
add nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner.errors import RefusedError, StoreError
from runner.requests.files.permissions import require_trusted
from runner.system.regular_files import read_regular, signature_of
from runner.values import instant_text, parse_instant
from runner.web.identity.roles import Role, Scope, Viewer

FILE = "web-tokens.json"
"""The name of the file in the state folder."""
_MARK = "runner_"
"""Begins each token, so that scanners of source code find a leaked one."""
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A stored token, without its secret."""

    name: str
    role: Role
    scope: Scope
    sha256: str
    created: datetime
    expires: datetime | None = None

    def is_expired(self, now: datetime) -> bool:
        """Return whether the token is no longer valid."""
        return self.expires is not None and self.expires <= now

    @property
    def viewer(self) -> Viewer:
        """Who uses this token."""
        return Viewer(name=self.name, role=self.role, scope=self.scope)


class Tokens:
    """The tokens of a state folder. A changed file is read again at the next question."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE
        self._signature: tuple[int, ...] | None = None
        self._known: tuple[Token, ...] = ()

    def all(self) -> tuple[Token, ...]:
        """Return the tokens, also expired ones. Raises StoreError, RefusedError."""
        try:
            signature = signature_of(self._path.stat())
        except FileNotFoundError:
            self._signature, self._known = None, ()
            return ()
        if signature != self._signature:
            require_trusted(self._path, "the tokens")
            self._known = _read(self._path)
            self._signature = signature
        return self._known

    def add(self, token: Token) -> None:
        """Store a token. Raises RefusedError if its name is taken."""

        def added(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
            if any(each.name == token.name for each in tokens):
                raise RefusedError(f"there is a token {token.name!r} already; remove it first")
            return (*tokens, token)

        self._change(added)

    def remove(self, name: str) -> None:
        """Remove a token: its sessions end at once. Raises RefusedError if there is none."""

        def rest(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
            left = tuple(each for each in tokens if each.name != name)
            if len(left) == len(tokens):
                raise RefusedError(f"there is no token {name!r}; `runner token list` shows all")
            return left

        self._change(rest)

    def of_secret(self, secret: str, now: datetime) -> Token | None:
        """Return the valid token with this secret. The time taken does not depend on it."""
        digest, found = digest_of(secret), None
        for token in self.all():
            if hmac.compare_digest(token.sha256, digest):
                found = token
        return found if found is not None and not found.is_expired(now) else None

    def _change(self, change: Callable[[tuple[Token, ...]], tuple[Token, ...]]) -> None:
        with locked(self._path.parent):
            _write(self._path, change(self.all()))


def new_secret() -> str:
    """Return the secret of a new token."""
    return _MARK + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """Return what is stored of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_token(
    name: str, role: Role, scope: Scope, *, expires: datetime | None
) -> tuple[Token, str]:
    """Return a new token, and its secret, which is stored nowhere."""
    secret, now = new_secret(), datetime.now(UTC)
    token = Token(
        name=name,
        role=role,
        scope=scope,
        sha256=digest_of(secret),
        created=now,
        expires=expires,
    )
    return token, secret


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other programs from changing files of the page. Creates the state folder."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_trusted(folder, "the state")
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: Path) -> tuple[Token, ...]:
    try:
        content = json.loads(read_regular(path, at_most=_LARGEST))
        return tuple(map(_token, content["tokens"]))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"{path} cannot be read: remove it, then make new tokens with `runner token add`"
        ) from error


def _token(stored: dict[str, Any]) -> Token:
    expires = stored["expires"]
    return Token(
        name=str(stored["name"]),
        role=Role(stored["role"]),
        scope=Scope(labels=frozenset(map(str, stored["labels"])), client=stored["client"]),
        sha256=str(stored["sha256"]),
        created=parse_instant(stored["created"]),
        expires=None if expires is None else parse_instant(expires),
    )


def _write(path: Path, tokens: Iterable[Token]) -> None:
    """Replace the file by one that only its owner may read."""
    stored = [
        {
            "name": each.name,
            "role": each.role,
            "labels": sorted(each.scope.labels),
            "client": each.scope.client,
            "sha256": each.sha256,
            "created": instant_text(each.created),
            "expires": None if each.expires is None else instant_text(each.expires),
        }
        for each in tokens
    ]
    write_private(path, json.dumps({"v": 1, "tokens": stored}, indent=1).encode() + b"\n")


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all.

    The folder is made if it is missing.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)
