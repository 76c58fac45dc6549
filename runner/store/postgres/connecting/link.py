"""A connection that is opened again after a failure, without a hanging caller.

To open a connection may take long: the name service or the network does not answer. So it
runs in a thread, and the caller waits for a moment only.
"""

from __future__ import annotations

import time
from functools import partial

from runner.errors import StoreUnwritableError
from runner.store.postgres.connecting.address import Address
from runner.store.postgres.connecting.connection import Connection, connect
from runner.system.background_calls import ContinuedCalls

_PATIENCE_S = 0.25
_BETWEEN_TRIES_S = 0.5


class Link:
    """The way to a database for one thread. Without a given connection, the first use opens one."""

    def __init__(self, address: Address, what: str, connection: Connection | None = None) -> None:
        """`what` names the connection in the server's list of sessions."""
        self._address = address
        self._what = what
        self._connection = connection
        self._calls = ContinuedCalls("database")
        self._failed_s = float("-inf")
        self._trouble = ""

    @property
    def is_open(self) -> bool:
        """Whether the connection is open, as far as is known."""
        return self._connection is not None and not self._connection.closed

    def connection(self, *, patience_s: float = _PATIENCE_S) -> Connection:
        """Return the open connection; open a new one if it was lost.

        Raises StoreError, in particular StoreUnwritableError if the database does not
        answer within `patience_s` seconds; a later call then goes on waiting.
        """
        if self._connection is not None and not self._connection.closed:
            return self._connection
        self._connection = None
        if time.monotonic() < self._failed_s + _BETWEEN_TRIES_S:
            raise StoreUnwritableError(self._trouble)
        try:
            opened = self._calls.result(
                partial(connect, self._address, what=self._what), patience_s=patience_s
            )
        except TimeoutError:
            raise StoreUnwritableError(f"the store {self._address.words} does not answer") from None
        except StoreUnwritableError as error:
            self._failed_s, self._trouble = time.monotonic(), str(error)
            raise
        self._connection = opened
        return opened

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._calls.close()
