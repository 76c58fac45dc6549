"""A connection that does not wait for ever for the head of a request.

uvicorn bounds how long a connection may be idle after a response, but not how slowly a
request may come. `protection` bounds the time for bodies.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 30.0
"""How long the head of a request may take, in seconds."""


class Connection(H11Protocol):
    """HTTP on one connection; it is closed if no request comes in time."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._bound()

    def data_received(self, data: bytes) -> None:
        """Handle what came, and begin or end the wait for the rest of a head."""
        super().data_received(data)
        self._bound()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the wait."""
        self._unbound()
        super().connection_lost(exc)

    def _bound(self) -> None:
        if not self._is_between_requests():
            self._unbound()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_S, self._give_up)

    def _unbound(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _give_up(self) -> None:
        self._timer = None
        if self._is_between_requests():
            self.transport.close()
