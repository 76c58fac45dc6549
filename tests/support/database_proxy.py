"""A way to the tests' PostgreSQL that a test can cut, as a lost network does."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from support.postgres import url_in

_SOCKET = ".s.PGSQL.5432"
_BYTES = 65536
_NOTIFICATION = b"A"


class DatabaseProxy:
    """Forwards connections to the server of a URL. While it is cut, no byte passes."""

    def __init__(self, url: str, folder: Path) -> None:
        parts = urlsplit(url)
        (server,) = parse_qs(parts.query)["host"]
        self.url = url_in(folder, parts.path.removeprefix("/"))
        """The URL of the same database by way of this proxy."""
        self.loses_notifications = False
        """Whether no NOTIFY passes."""
        self._server = f"{server}/{_SOCKET}"
        self._passes = threading.Event()
        self._passes.set()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / _SOCKET))
        self._listening.listen(64)
        self._is_closed = False
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self) -> None:
        """Let no byte pass from now on; connections stay open."""
        self._passes.clear()

    def mend(self) -> None:
        """Let everything pass again; the connections of before are gone."""
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.clear()
        self._passes.set()

    def close(self) -> None:
        """End all connections."""
        self._is_closed = True
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.mend()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._is_closed:
                client, _ = self._listening.accept()
                threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.socket(socket.AF_UNIX) as server:
            self._open += [client, server]
            self._passes.wait()
            server.connect(self._server)
            other = {client: server, server: client}
            said = bytearray()
            while True:
                for each in select.select([client, server], [], [])[0]:
                    content = each.recv(_BYTES)
                    self._passes.wait()
                    if not content:
                        return
                    if each is server:
                        said += content
                        content = b"".join(self._passed(said))
                    other[each].sendall(content)

    def _passed(self, said: bytearray) -> Iterator[bytes]:
        """Take whole messages of the server out of `said`; yield those that pass.

        A message is a letter, a length that counts itself, and a content.
        """
        while len(said) > 4 and len(said) > (length := int.from_bytes(said[1:5], "big")):
            message = bytes(said[: length + 1])
            del said[: length + 1]
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
