"""A descriptor that becomes readable when a command was posted. Touches the database.

It stays the same while the connection behind it is lost and opened again, because it is an
epoll instance that watches the connection.
"""

from __future__ import annotations

import select
from contextlib import suppress

import psycopg

from runner.errors import StoreError
from runner.store.postgres.connecting.address import Address
from runner.store.postgres.connecting.connection import CONNECT_S, Connection
from runner.store.postgres.connecting.link import Link


class Arrivals:
    """Listens on a channel. A lost connection is opened again by `look`."""

    def __init__(self, address: Address, channel: str) -> None:
        """Raises StoreError if the database cannot be reached now."""
        self._channel = channel
        self._link = Link(address, f"runner {channel}")
        self._epoll = select.epoll()
        self._connection: Connection | None = None
        self.is_pooled = False
        """Whether a connection pool lies between this program and the server."""
        try:
            self._listen(patience_s=2.0 * CONNECT_S)
        except BaseException:
            self.close()
            raise

    @property
    def descriptor(self) -> int:
        """The descriptor."""
        return self._epoll.fileno()

    def look(self) -> None:
        """Listen again if the connection was lost; its notifications are lost, too."""
        if self._connection is None or self._connection.closed:
            self._connection = None  # a closed descriptor leaves the epoll by itself
            with suppress(StoreError):
                self._listen(patience_s=0.0)

    def clear(self) -> None:
        """Drop the notifications that have arrived."""
        if self._connection is not None:
            try:
                for _ in self._connection.notifies(timeout=0):
                    pass
            except psycopg.Error:
                self._connection.close()
        self.look()

    def close(self) -> None:
        """Stop listening."""
        self._link.close()
        self._epoll.close()

    def _listen(self, *, patience_s: float) -> None:
        connection = self._link.connection(patience_s=patience_s)
        try:
            connection.execute(f"LISTEN {self._channel}".encode())
        except psycopg.Error:
            connection.close()
            return
        self.is_pooled = connection.is_pooled
        self._epoll.register(connection.fileno(), select.EPOLLIN)
        self._connection = connection
