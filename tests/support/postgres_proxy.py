"""A proxy before a PostgreSQL server, which cuts connections at chosen points."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from enum import Enum, auto
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from support.postgres import url_in

_SOCKET = ".s.PGSQL.5432"
_KEY_DATA = b"K\0\0\0\x0c"


class Cut(Enum):
    """Where the proxy cuts a connection; each cut happens once."""

    BEFORE_COMMIT = auto()
    """The server never gets the COMMIT."""
    AFTER_COMMIT = auto()
    """The server commits, but its answer is lost."""


class Proxy:
    """Passes connections on to a server while `is_up`. `cut_next` loses one COMMIT."""

    def __init__(self, folder: Path, server: Path) -> None:
        self.is_up = True
        self._cut: Cut | None = None
        self.is_pool = False
        """Whether it gives clients process ids of its own, as PgBouncer does."""
        self._server = str(server / _SOCKET)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / _SOCKET))
        self._listener.listen()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def is_cut_pending(self) -> bool:
        """Whether the cut has not happened yet."""
        return self._cut is not None

    def cut_next(self, cut: Cut) -> None:
        """Cut the connection that sends the next COMMIT."""
        self._cut = cut

    def go_down(self) -> None:
        """Cut all connections, and refuse new ones until `is_up` is set."""
        self.is_up = False
        self._cut_all()

    def close(self) -> None:
        """Cut everything and end the threads."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._cut_all()
        for thread in self._threads[1:]:
            thread.join()
        self._listener.close()

    def _cut_all(self) -> None:
        for pair in list(self._pairs):
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if not self.is_up:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                self._pairs.add((client, server))
                thread = threading.Thread(target=self._pass_on, args=(client, server))
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        with closing(client), closing(server), suppress(OSError):
            while True:
                readable, _, _ = select.select([client, server], [], [])
                for end in readable:
                    data = end.recv(65536)
                    if not data or (end is client and self._is_cut(data, server)):
                        return
                    if end is server and self.is_pool:
                        data = _with_own_pid(data)
                    (server if end is client else client).sendall(data)

    def _is_cut(self, data: bytes, server: socket.socket) -> bool:
        cut = self._cut
        if cut is None or b"COMMIT" not in data:
            return False
        self._cut = None
        if cut is Cut.AFTER_COMMIT:
            server.sendall(data)
            server.recv(65536)  # it has committed
        return True


def _with_own_pid(data: bytes) -> bytes:
    """Replace the process id in the message BackendKeyData."""
    before, key, after = data.partition(_KEY_DATA)
    return before + key + (b"\0\0\0\1" + after[4:] if key else after)


@contextmanager
def proxy_before(url: str, folder: Path) -> Iterator[tuple[Proxy, str]]:
    """Start a proxy before the server of a URL; yield it with the URL that leads through it."""
    parts = urlsplit(url)
    folder.mkdir()
    with closing(Proxy(folder, Path(parse_qs(parts.query)["host"][0]))) as proxy:
        yield proxy, url_in(folder, parts.path.removeprefix("/"))
