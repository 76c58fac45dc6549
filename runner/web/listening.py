"""Where the page listens, and whether it may: pure, but for the sockets that it opens."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from runner.errors import RefusedError, UsageError
from runner.requests.file_settings import WebSettings
from runner.web.protection import Names

DEFAULT = "127.0.0.1:8080"
_BACKLOG = 2048
_HOST_HINT = "HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A TCP address; `host` has no brackets."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def address_in(text: str) -> Address:
    """Read HOST:PORT. Raises UsageError.

    >>> str(address_in("[::1]:80")), address_in("127.0.0.1:80").is_loopback
    ('[::1]:80', True)
    """
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port is None or parts.netloc != text or "@" in text:
        raise UsageError(f"{text!r} is not an address to listen on: write {_HOST_HINT}")
    return Address(host=host, port=port)


def require_safe(address: Address, settings: WebSettings, *, has_tokens: bool) -> None:
    """Refuse an address that others can reach, without tokens or without encryption.

    Raises RefusedError.
    """
    if address.is_loopback:
        return
    if settings.tls_cert is None and not settings.behind_proxy:
        raise RefusedError(
            f"{address} can be reached from other machines, so the page needs TLS: give "
            "--tls-cert, or --behind-proxy if a proxy does it"
        )
    if not has_tokens:
        raise RefusedError(
            f"{address} can be reached from other machines, so the page needs tokens; "
            "`runner token add NAME --role viewer` makes one"
        )


def names_of(settings: WebSettings, address: Address | None) -> Names:
    """Return the names under which the page may be reached."""
    hosts = {socket.gethostname().lower()}
    origin = None
    if address is not None:
        hosts.add(address.host.lower())
    if settings.url is not None:
        parts = urlsplit(settings.url)
        hosts.add((parts.hostname or "").lower())
        origin = f"{parts.scheme}://{parts.netloc}"
    return Names(hosts=frozenset(hosts - {""}), origin=origin)


def tcp_socket(address: Address) -> socket.socket:
    """Listen on an address. Raises RefusedError."""
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, place = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
    except OSError as error:
        raise RefusedError(f"cannot listen on {address}: {error.strerror}") from error
    listener.listen(_BACKLOG)
    return listener


def unix_socket(path: Path) -> socket.socket:
    """Listen on a unix socket that only its owner may open. Raises RefusedError.

    The socket of a program that has ended is replaced.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket() and not _is_served(path):
            path.unlink()
        # The mode of a socket is that of its creation: a chmod would leave a gap.
        former = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(former)
    except OSError as error:
        listener.close()
        raise RefusedError(f"cannot listen on {path}: {error.strerror or error}") from error
    listener.listen(_BACKLOG)
    return listener


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0
