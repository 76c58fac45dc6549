"""A runner and the service manager that started it, over a datagram socket as in systemd."""

from __future__ import annotations

import signal
import socket
import tempfile

from support.place import Place, wait_until

SHOW = "env | grep -E '^(NOTIFY_SOCKET|WATCHDOG_)' || echo nothing"


def test_the_manager_is_notified_of_start_reload_and_stop_by_the_runner_alone(
    place: Place,
) -> None:
    place.declare("environment", SHOW, "run_immediately")
    # The path of a socket has room for about a hundred bytes.
    with (
        tempfile.TemporaryDirectory(prefix="runner-", dir="/tmp") as short,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        manager.bind(f"{short}/notify")
        manager.settimeout(30)
        # An unread socket holds ten datagrams and loses the rest, so watchdog messages
        # must be rare.
        place.environment |= {"NOTIFY_SOCKET": f"{short}/notify", "WATCHDOG_USEC": "2500000"}
        runner = place.launch()

        def heard(*, until: str) -> list[str]:
            messages: list[str] = []
            while until not in messages:
                messages += manager.recv(4096).decode().split("\n")
            return messages

        assert heard(until="READY=1") == ["READY=1"]
        assert heard(until="WATCHDOG=1") == ["WATCHDOG=1"]
        (status, *_) = heard(until="WATCHDOG=1")
        assert status.startswith("STATUS=1 request, ")

        place.declare("another", "true", None)
        runner.send_signal(signal.SIGHUP)
        assert "RELOADING=1" in heard(until="READY=1")
        wait_until(lambda: place.events("runner.reloaded"), what="runner.reloaded")

        (finished,) = place.await_finished("environment")
        assert finished["output_tail"] == "nothing\n"
        runner.send_signal(signal.SIGTERM)
        assert "STOPPING=1" in heard(until="STOPPING=1")
        assert runner.wait(timeout=30) == 0
        wait_until(lambda: place.events("runner.stopped"))
