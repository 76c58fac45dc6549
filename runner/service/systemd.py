"""Notifies a service manager by the protocol of sd_notify(3). Touches a datagram socket.

An error here never reaches the loop: a manager that gets no message has its own means to
notice. Without a manager, nothing is sent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Final

from runner.system.clock import Clock, SystemClock
from runner.values import counted

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_STATUS_EVERY_S = 5.0


class Notifier:
    """Reports the runner's state to the manager at `address`. Times are elapsed seconds.

    `address` is NOTIFY_SOCKET: a path, or `@` and an abstract name; None for no manager.
    After `watchdog_s` without a sign of life the manager restarts the runner; None for no
    watchdog.
    """

    def __init__(
        self, address: str | None = None, *, watchdog_s: float | None = None, clock: Clock
    ) -> None:
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._watchdog_s = watchdog_s
        self._clock = clock
        self._alive_s = self._status_at_s = float("-inf")
        self._status = ""
        # None: no reading is awaited. The first reading counts whenever it began.
        self._unread_since_s: float | None = float("-inf")

    @classmethod
    def taken_from(cls, environment: MutableMapping[str, str], *, clock: Clock) -> Notifier:
        """Take the manager's variables out of `environment`.

        They are meant for the runner alone; a child must not speak in its name.
        """
        given = {name: environment.pop(name, "") for name in _VARIABLES}
        return cls(given["NOTIFY_SOCKET"] or None, watchdog_s=_watchdog_s(given), clock=clock)

    def reloading(self) -> None:
        """Report that the folder is about to be read again."""
        now_s = self._clock.elapsed_s()
        self._unread_since_s = now_s
        # systemd compares this with CLOCK_MONOTONIC, the clock of elapsed seconds
        # (Type=notify-reload, systemd.service(5)).
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(now_s * 1e6)}")

    def ready(self, *, begun_s: float) -> None:
        """Report that a reading is in force.

        This counts only if a reading is awaited and this one began late enough, at
        `begun_s`, to include what it is awaited for.
        """
        if self._unread_since_s is not None and self._unread_since_s <= begun_s:
            self._unread_since_s = None
            self._send("READY=1")

    def turn(self, *, requests: int, running: int) -> None:
        """Report that the loop turns, twice per watchdog interval, and the status.

        Only the loop may call this. Any other caller would hide that the loop hangs.
        """
        self._turn(lambda: f"{counted(requests, 'request')}, {running} running")

    def working(self, *, running: int, trouble: str | None) -> None:
        """Report like `turn` that the loop of a worker turns, and what it cannot do."""
        self._turn(lambda: trouble or f"{running} running")

    def standing_by(self, leader: str | None) -> None:
        """Report like `turn` that the loop of a standby turns, and who leads."""
        self._turn(lambda: "standing by" + (f"; {leader} leads" if leader else ""))

    def _turn(self, status: Callable[[], str]) -> None:
        if self._address is None:
            return
        now_s = self._clock.elapsed_s()
        if self._watchdog_s is not None and now_s >= self._alive_s + self._watchdog_s / 2:
            self._alive_s = now_s
            self._send("WATCHDOG=1")
        if now_s >= self._status_at_s + _STATUS_EVERY_S:
            self._status_at_s = now_s
            self._send_status(f"STATUS={status()}")

    def stopping(self) -> None:
        """Report that the runner is about to end."""
        self._unread_since_s = None
        self._send("STOPPING=1")

    def _send_status(self, status: str) -> None:
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
            sending.setblocking(False)  # a manager with a full queue must not block the loop
            sending.sendto("\n".join(lines).encode(), self._address)


def _watchdog_s(given: Mapping[str, str]) -> float | None:
    """Return the watchdog's interval in seconds; None if there is none for this process.

    WATCHDOG_PID may name another process (sd_watchdog_enabled(3)).
    """
    if given["WATCHDOG_PID"] not in ("", str(os.getpid())):
        return None
    microseconds = given["WATCHDOG_USEC"]
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None


SILENT: Final = Notifier(clock=SystemClock())
"""The notifier without a manager."""
