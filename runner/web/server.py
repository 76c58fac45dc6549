"""The process that serves the page, until a signal ends it."""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI
from loguru import logger

from runner.access.places import Places
from runner.errors import RefusedError
from runner.history.building.keeping import Keeping
from runner.requests.file_settings import WebSettings
from runner.system.threads import OwnThread
from runner.web.application import application
from runner.web.connection import Connection
from runner.web.following.fleet_history import kept_up_to_date
from runner.web.identity.authentication import Authentication
from runner.web.listening import (
    DEFAULT,
    Address,
    address_in,
    names_of,
    require_safe,
    tcp_socket,
    unix_socket,
)
from runner.web.site import Site

_GRACE_S = 1
"""How long open responses, such as event streams, may go on at the end."""
_LARGEST_HEAD = 32 << 10
"""In bytes: a request's line and its headers."""
_MOST_FILES = 65536
_NICE = 4  # the runner and its processes go first
_SWITCH_S = 0.001
"""How long a thread that computes a page may keep the event loop waiting, in seconds."""


def serve(
    places: Places, settings: WebSettings, *, report: Callable[[str], None], until_stdin_ends: bool
) -> None:
    """Serve the page until SIGTERM or SIGINT, or until stdin ends.

    `report` gets lines: where the page is, as soon as it can be opened, and diagnostics. It
    must not block. Raises UsageError, RefusedError and OSError before that.
    """
    _report_diagnostics(report)
    text = settings.listen or (None if settings.socket else DEFAULT)
    address = None if text is None else address_in(text)
    is_secure = settings.behind_proxy or settings.tls_cert is not None
    with ExitStack() as resources:
        authentication = Authentication(
            places.state,
            is_socket_trusted=not settings.behind_proxy,
            is_secure=is_secure,
        )
        if address is not None:
            require_safe(address, settings, has_tokens=bool(authentication.tokens.all()))
        listeners = _listeners(settings, address, resources)
        site = Site(places)
        resources.enter_context(kept_up_to_date(places.fleet_log, logger.warning))
        resources.enter_context(Keeping(places.history_folder, site.log, logger.warning))
        app = application(site, authentication, names_of(settings, address))
        _raise_file_limit()
        sys.setswitchinterval(_SWITCH_S)
        server = _Server(_config(app, settings))
        if until_stdin_ends:
            OwnThread(target=_end_with_stdin, args=(server,), daemon=True).start()
        for words in _places_words(settings, listeners, authentication):
            report(words)
        os.nice(_NICE)
        server.run(sockets=listeners)


def _report_diagnostics(report: Callable[[str], None]) -> None:
    """Pass what this program and its libraries log to `report`, line by line."""

    def sink(message: str) -> None:
        for line in str(message).splitlines():
            report(line)

    logger.remove()
    logger.add(sink, format="{time:HH:mm:ss} web: {message}", diagnose=False)
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)


class _ToLoguru(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        logger.opt(exception=record.exc_info).log(record.levelno, "{}", record.getMessage())


def _listeners(
    settings: WebSettings, address: Address | None, resources: ExitStack
) -> list[socket.socket]:
    listeners = []
    if address is not None:
        listeners.append(resources.enter_context(tcp_socket(address)))
    if settings.socket is not None:
        path = settings.socket.absolute()
        listeners.append(resources.enter_context(unix_socket(path)))
        resources.callback(path.unlink, missing_ok=True)
    return listeners


def _places_words(
    settings: WebSettings, listeners: list[socket.socket], authentication: Authentication
) -> Iterator[str]:
    """Yield where the page is, with the link that logs in once."""
    for listener in listeners:
        if listener.family == socket.AF_UNIX:
            yield f"the page is served on {listener.getsockname()}"
            continue
        host, port = listener.getsockname()[:2]
        scheme = "https" if settings.tls_cert is not None else "http"
        url = settings.url or f"{scheme}://{Address(host=host, port=port)}"
        yield f"the page is served on {url.rstrip('/')}/"
        if sys.stderr.isatty():  # not into a journal, which others may read
            link = f"{url.rstrip('/')}/login?code={authentication.one_time.code}"
            yield f"log in once, within an hour: {link}"
        elif not authentication.tokens.all():
            yield "nobody can log in yet: `runner token add NAME --role viewer` makes a token"


def _config(app: FastAPI, settings: WebSettings) -> uvicorn.Config:
    """Return how to serve. Raises RefusedError for a certificate that cannot be used."""
    cert = settings.tls_cert
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=settings.behind_proxy,
        timeout_graceful_shutdown=_GRACE_S,
        h11_max_incomplete_event_size=_LARGEST_HEAD,
        ssl_certfile=None if cert is None else str(cert),
        ssl_keyfile=str(settings.tls_key or cert) if cert is not None else None,
    )
    try:
        config.load()
    except OSError as error:  # also ssl.SSLError
        raise RefusedError(
            f"the certificate {cert} with the key {settings.tls_key or cert} cannot be used: "
            f"{error.strerror or error}"
        ) from error
    return config


class _Server(uvicorn.Server):
    """A server that a signal ends in order, with exit code 0."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        former = {each: signal.signal(each, self._stop) for each in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True


def _end_with_stdin(server: uvicorn.Server) -> None:
    """End the server when the runner that holds the other end of stdin is gone."""
    while sys.stdin.buffer.read(4096):
        pass
    server.should_exit = True


def _raise_file_limit() -> None:
    """Allow a connection for each of many open event streams."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        logger.debug("raised the limit of open files to {}", wanted)
