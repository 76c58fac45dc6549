"""How long a connection waits for a request, on a real server."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from runner.web import connection
from runner.web.connection import Connection

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
BOUND_S = 0.5


async def slow(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer after longer than a head may take."""
    await asyncio.sleep(2 * BOUND_S)
    headers = [(b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"done"})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connection, "HEAD_S", BOUND_S)
    config = uvicorn.Config(
        slow, http=Connection, ws="none", lifespan="off", log_config=None, timeout_keep_alive=60
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(60)


def rest_of(client: socket.socket) -> bytes:
    """Return what comes until the server closes the connection."""
    found = b""
    while part := client.recv(4096):
        found += part
    return found


@pytest.mark.parametrize("part", [b"", b"GET", REQUEST[:-2]])
def test_a_head_that_does_not_come_ends_its_connection(port: int, part: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(part)
        assert rest_of(client) == b""


def test_a_slow_answer_is_awaited_and_then_a_second_head_must_come_in_time(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(REQUEST)
        answer = b""
        while not answer.endswith(b"done"):
            answer += client.recv(4096)
        client.sendall(REQUEST[:-2])
        assert rest_of(client) == b""
