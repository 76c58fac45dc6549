"""What a service manager is told of the runner, by the protocol of sd_notify(3).
Touches a datagram socket.

Nothing here fails into the loop: a manager that cannot be told has its own means to
notice. Without one, nothing is sent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Final

from runner.service.clock import Clock, SystemClock

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_STATUS_EVERY_S = 5.0


class Notifier:
    """Tells the manager at `address` how the runner is. Times are the clock's elapsed seconds.

    `address` is NOTIFY_SOCKET: a path, or an abstract name behind an `@`; None for no
    manager. `watchdog_s` is how long the manager waits for a sign of life until it
    restarts us; None if it does not.
    """

    def __init__(
        self, address: str | None = None, *, watchdog_s: float | None = None, clock: Clock
    ) -> None:
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._watchdog_s = watchdog_s
        self._clock = clock
        self._alive_s = self._told_s = float("-inf")
        self._status = ""
        self._unread_since_s: float | None = float("-inf")

    @classmethod
    def taken_from(cls, environment: MutableMapping[str, str], *, clock: Clock) -> Notifier:
        """Take what the manager has left in `environment` out of it: it is for us, and
        no child may speak for us.
        """
        given = {name: environment.pop(name, "") for name in _VARIABLES}
        return cls(given["NOTIFY_SOCKET"] or None, watchdog_s=_watchdog_s(given), clock=clock)

    def reloading(self) -> None:
        """Tell that the folder is about to be read again."""
        now_s = self._clock.elapsed_s()
        self._unread_since_s = now_s
        # systemd compares it with its own look at CLOCK_MONOTONIC, which elapsed
        # seconds are (Type=notify-reload).
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(now_s * 1e6)}")

    def ready(self, *, begun_s: float) -> None:
        """Tell that a reading is in force, if one is waited for that began no later
        than this did, at `begun_s`.
        """
        if self._unread_since_s is not None and self._unread_since_s <= begun_s:
            self._unread_since_s = None
            self._send("READY=1")

    def turn(self, *, requests: int, running: int) -> None:
        """Tell that the loop turns, as often as the watchdog wants to hear it, and what
        the runner is doing.

        Only the loop may call this: whoever else did would hide that it hangs.
        """
        if self._address is None:
            return
        now_s = self._clock.elapsed_s()
        if self._watchdog_s is not None and now_s >= self._alive_s + self._watchdog_s / 2:
            self._alive_s = now_s
            self._send("WATCHDOG=1")
        if now_s >= self._told_s + _STATUS_EVERY_S:
            self._told_s = now_s
            self._tell(f"STATUS={requests} request{'s' * (requests != 1)}, {running} running")

    def stopping(self) -> None:
        """Tell that the runner is about to end."""
        self._unread_since_s = None
        self._send("STOPPING=1")

    def _tell(self, status: str) -> None:
        if status != self._status:
            self._status = status
            self._send(status)

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending,
        ):
            sending.setblocking(False)  # a manager that does not listen must not hold the loop
            sending.sendto("\n".join(lines).encode(), self._address)


def _watchdog_s(given: Mapping[str, str]) -> float | None:
    """Return how long the watchdog waits; None for none, or if another process is meant
    (sd_watchdog_enabled(3)).
    """
    if given["WATCHDOG_PID"] not in ("", str(os.getpid())):
        return None
    microseconds = given["WATCHDOG_USEC"]
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None


SILENT: Final = Notifier(clock=SystemClock())
"""Where no manager is to be told."""
