"""A runner and the service manager that started it: a datagram socket, as systemd has one."""

from __future__ import annotations

import signal
import socket

from support import Place, wait_until

SHOW = "env | grep -E '^(NOTIFY_SOCKET|WATCHDOG_)' || echo nothing"


def test_a_manager_hears_of_start_life_reload_and_stop_and_no_process_can_speak_for_the_runner(place: Place) -> None:
    place.declare("environment", SHOW, "run_immediately")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(place.folder / "notify"))
        manager.settimeout(15)
        place.environment |= {"NOTIFY_SOCKET": str(place.folder / "notify"), "WATCHDOG_USEC": "400000"}
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
        assert place.stop(runner) == 0
        assert "STOPPING=1" in heard(until="STOPPING=1")
        wait_until(lambda: place.events("runner.stopped"))
