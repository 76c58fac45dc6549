"""What every request must pass, and what every response says to the browser.

Host allow-list (against DNS rebinding), Origin of each change (against forged requests),
bounds for bodies, and headers. A pure ASGI middleware; reads only the clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from loguru import logger
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner.values import neutral

LARGEST_BODY = 1 << 20
"""In bytes."""
BODY_S = 30.0
"""How long a body may take, in seconds."""
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # `no-referrer` would make browsers send `Origin: null` with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names under which the page may be reached.

    An address is always allowed: only a name can be rebound to another machine.
    """

    hosts: frozenset[str] = frozenset()
    """Names of hosts besides localhost, without a port, in small letters."""
    origin: str | None = None
    """The origin of the public URL, such as `https://runner.example.org`."""

    def allows_host(self, host: str) -> bool:
        """Return whether a Host header names this server.

        >>> Names().allows_host("[::1]:8080"), Names().allows_host("evil.example:8080")
        (True, False)
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self.hosts or name == "localhost":
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True

    def allows_origin(self, origin: str, host: str) -> bool:
        """Return whether an Origin header names a page of this server."""
        scheme, _, place = origin.partition("://")
        return origin == self.origin or (scheme in ("http", "https") and place == host)


class Protection:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, names: Names) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # the server answers a web socket with 403
        headers, send = Headers(scope=scope), _with_headers(send)
        refusal = next(self._refusals(scope["method"], headers), None)
        if refusal is not None:
            status, words = refusal
            client = scope.get("client")
            logger.warning(
                "refused {} {} from {}: {}",
                scope["method"],
                neutral(scope["path"])[:200],
                client[0] if client else "the unix socket",
                words,
            )
            await PlainTextResponse(words + "\n", status)(scope, receive, send)
            return
        await self._app(scope, _bounded(receive), send)

    def _refusals(self, method: str, headers: Headers) -> Iterator[tuple[int, str]]:
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._names.allows_host(host):
            yield 403, "unknown host; name the page's address with `web: {url: …}` in runner.yaml"
        if method not in SAFE_METHODS and not self._is_own(headers, host):
            yield 403, "the request comes from another site"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > LARGEST_BODY:
            yield 413, "the body is too large"

    def _is_own(self, headers: Headers, host: str) -> bool:
        """Return whether a change comes from one of our pages, or from no browser."""
        origin = headers.get("origin")
        if origin is not None:
            return self._names.allows_origin(origin, host)
        return headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")


def _bounded(receive: Receive) -> Receive:
    """Return a `receive` that gives up a body that is too large or too slow."""
    size, until_s = 0, asyncio.get_running_loop().time() + BODY_S
    is_whole = False

    async def bounded() -> Message:
        nonlocal size, is_whole
        if is_whole:  # only the end of the connection is left, which may take hours
            return await receive()
        try:
            async with asyncio.timeout_at(until_s):
                message = await receive()
        except TimeoutError:
            return {"type": "http.disconnect"}
        size += len(message.get("body", b""))
        if size > LARGEST_BODY:
            return {"type": "http.disconnect"}
        is_whole = not message.get("more_body", False)
        return message

    return bounded


def _with_headers(send: Send) -> Send:
    """Return a `send` that adds the headers of every response."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending
