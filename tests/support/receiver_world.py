"""Receivers on loopback: an SMTP server, a web server with every bad habit, and a program."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from typing import Any

import pytest
from support.place import Place

HANG_S = 60
"""Only a hang lasts so long."""


def free_port() -> int:
    """Return a port on which nobody listens at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@dataclass
class Post:
    """A request that a web server got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)


@dataclass
class WebServer:
    """A web server. `behaviour` says what it does with a request: answers with a status, or
    `hangs`, or `trickles` one byte after the other.
    """

    url: str
    behaviour: int | str = 200
    posts: SimpleQueue[Post] = field(default_factory=SimpleQueue)
    closing: threading.Event = field(default_factory=threading.Event)

    def next(self) -> Post:
        """Return the next request; wait for it."""
        return self.posts.get(timeout=HANG_S)

    def drained(self) -> list[Post]:
        """Return all requests that came and were not taken yet."""
        found = []
        while True:
            try:
                found.append(self.posts.get_nowait())
            except Empty:
                return found


@contextmanager
def web_server() -> Iterator[WebServer]:
    """Run a web server on a free port."""
    world = WebServer(url="")

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            world.posts.put(Post(self.command, self.path, dict(self.headers.items()), body))
            match world.behaviour:
                case int(status):
                    self.send_response(status)
                    if status in (301, 302):
                        self.send_header("Location", f"{world.url}/elsewhere")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                case "hangs":
                    world.closing.wait(HANG_S)
                case "trickles":
                    while not world.closing.wait(1):
                        self.wfile.write(b"H")

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815 - the names that the base class calls

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    world.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield world
    finally:
        world.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class MailServer:
    """An SMTP server. `answer` is its answer to a whole message; `refused` are addresses."""

    port: int = 0
    answer: str = "250 OK"
    refused: frozenset[str] = frozenset()
    mails: SimpleQueue[Message] = field(default_factory=SimpleQueue)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)

    def next(self) -> Message:
        """Return the next mail; wait for it."""
        return self.mails.get(timeout=HANG_S)

    def drained(self) -> list[Message]:
        """Return all mails that came and were not taken yet."""
        found = []
        while True:
            try:
                found.append(self.mails.get_nowait())
            except Empty:
                return found

    # What aiosmtpd calls.
    async def handle_RCPT(self, _s: Any, _c: Any, envelope: Any, address: str, _o: Any) -> str:  # noqa: N802
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answer.startswith("2"):
            self.mails.put(message_from_bytes(envelope.content, policy=default))
        return self.answer


@contextmanager
def mail_server(**options: Any) -> Iterator[MailServer]:
    """Run an SMTP server on a free port; `options` are those of aiosmtpd's controller."""
    controllers = pytest.importorskip("aiosmtpd.controller")
    world = MailServer(port=free_port())
    controller = controllers.Controller(world, hostname="127.0.0.1", port=world.port, **options)
    controller.start()
    try:
        yield world
    finally:
        controller.stop()


_HURRY = """
from datetime import timedelta

from runner.notifying import message, notice

notice.GROUPING = timedelta(seconds=0.5)
message.BETWEEN = timedelta(seconds=1)
message.FIRST_DELAY, message.LONGEST_DELAY = timedelta(seconds=0.2), timedelta(seconds=0.5)
"""
"""Runs before the program: messages follow one another in seconds instead of minutes."""


def hurry(place: Place) -> None:
    """Let the runners of a place send messages within seconds."""
    folder = place.folder / "hurry"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_HURRY)
    place.environment["PYTHONPATH"] = str(folder)


def settings(place: Place, receivers: object, **more: object) -> None:
    """Write the settings beside the jobs folder."""
    text = json.dumps({"receivers": receivers, **more})
    (place.jobs.parent / "runner.yaml").write_text(text)


def mailbox(server: MailServer) -> dict[str, object]:
    """Return a receiver that gets mail."""
    email = {"to": ["ops@example.org"], "from": "runner@example.org", "host": "127.0.0.1"}
    return {"email": {**email, "port": server.port}}
