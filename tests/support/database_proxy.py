"""A way to the tests' PostgreSQL that a test can cut: as a lost network does, or at a COMMIT."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from support.postgres import url_in

_SOCKET = ".s.PGSQL.5432"
_BYTES = 65536
_NOTIFICATION, _KEY_DATA = b"A", b"K"


class Cut(Enum):
    """Where the proxy cuts a connection; each cut happens once."""

    BEFORE_COMMIT = auto()
    """The server never gets the COMMIT."""
    AFTER_COMMIT = auto()
    """The server commits, but its answer is lost."""


class DatabaseProxy:
    """Forwards connections to the server of a URL."""

    def __init__(self, url: str, folder: Path) -> None:
        parts = urlsplit(url)
        (server,) = parse_qs(parts.query)["host"]
        self.url = url_in(folder, parts.path.removeprefix("/"))
        """The URL of the same database by way of this proxy."""
        self.loses_notifications = False
        """Whether no NOTIFY passes."""
        self.is_up = True
        """Whether it takes new connections, as a server that runs does."""
        self.is_pool = False
        """Whether it gives clients process ids of its own, as PgBouncer does."""
        self._cut: Cut | None = None
        self._server = f"{server}/{_SOCKET}"
        self._passes = threading.Event()
        self._passes.set()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / _SOCKET))
        self._listening.listen(64)
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def is_cut_pending(self) -> bool:
        """Whether the cut at a COMMIT has not happened yet."""
        return self._cut is not None

    def cut_next(self, cut: Cut) -> None:
        """Cut the connection that sends the next COMMIT."""
        self._cut = cut

    def lose_network(self) -> None:
        """Let no byte pass from now on; connections stay open."""
        self._passes.clear()

    def restore_network(self) -> None:
        """Let everything pass again; the connections of before are gone."""
        self._end_connections()
        self._passes.set()

    def go_down(self) -> None:
        """End all connections, and refuse new ones until `is_up` is set."""
        self.is_up = False
        self._end_connections()

    def close(self) -> None:
        """End everything, with the threads."""
        self._passes.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listening.close()
        self._end_connections()
        for thread in self._threads[1:]:
            thread.join()

    def _end_connections(self) -> None:
        ending, self._open = self._open, []
        for each in ending:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                if not self.is_up:
                    client.close()
                    continue
                self._open.append(client)
                thread = threading.Thread(target=self._forward, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _forward(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.socket(socket.AF_UNIX) as server:
            self._passes.wait()
            server.connect(self._server)
            self._open.append(server)
            said = bytearray()
            while True:
                for each in select.select([client, server], [], [])[0]:
                    content = each.recv(_BYTES)
                    self._passes.wait()
                    if not content or (each is client and self._is_cut(content, server)):
                        return
                    if each is client:
                        server.sendall(content)
                    else:
                        said += content
                        client.sendall(b"".join(self._passed(said)))

    def _is_cut(self, content: bytes, server: socket.socket) -> bool:
        cut = self._cut
        if cut is None or b"COMMIT" not in content:
            return False
        self._cut = None
        if cut is Cut.AFTER_COMMIT:
            server.sendall(content)
            server.recv(_BYTES)  # it has committed
        return True

    def _passed(self, said: bytearray) -> Iterator[bytes]:
        """Take whole messages of the server out of `said`; yield those that pass.

        A message is a letter, a length that counts itself, and a content.
        """
        while len(said) > 4 and len(said) > (length := int.from_bytes(said[1:5], "big")):
            message = bytes(said[: length + 1])
            del said[: length + 1]
            if self.is_pool and message.startswith(_KEY_DATA):
                message = message[:5] + b"\0\0\0\1" + message[9:]  # the process id
            if not (self.loses_notifications and message.startswith(_NOTIFICATION)):
                yield message


@contextmanager
def proxied(url: str, folder: Path) -> Iterator[DatabaseProxy]:
    """Provide a proxy whose socket lies in a new folder."""
    folder.mkdir()
    proxy = DatabaseProxy(url, folder)
    try:
        yield proxy
    finally:
        proxy.close()
