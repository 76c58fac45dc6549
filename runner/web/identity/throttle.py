"""How often an address may fail to log in. Pure: the caller gives the time."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, IPv6Network, ip_address
from threading import Lock

MOST_FAILURES = 10
"""Failures of one address within `WINDOW_S`; after that it must wait."""
WINDOW_S = 60.0
_MOST_ADDRESSES = 4096


class Throttle:
    """Counts failures by address; thread-safe, in bounded memory."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """Return how long an address must wait before its next attempt; 0 for not at all."""
        with self._lock:
            count, until_s = self._failures.get(_network(address), (0, 0.0))
        return until_s - now_s if count >= MOST_FAILURES and until_s > now_s else 0.0

    def note_failure(self, address: str, now_s: float) -> None:
        """Count a failed attempt. The window of an address begins with its first failure."""
        key = _network(address)
        with self._lock:
            count, until_s = self._failures.pop(key, (0, 0.0))
            if until_s <= now_s:
                count, until_s = 0, now_s + WINDOW_S
            self._failures[key] = (count + 1, until_s)
            if len(self._failures) > _MOST_ADDRESSES:
                self._failures.popitem(last=False)


def _network(address: str) -> str:
    """Return what counts as one address: of IPv6, what one customer usually gets, a /64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, 64), strict=False))
    return str(parsed)
