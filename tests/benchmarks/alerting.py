"""Many requests that fail at one instant: executions per second with and without somebody who
hears of it, and how many messages that makes.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from benchmarks.burst import Burst, runner_rate
from benchmarks.harness import Result, Setting, Target, alternately, in_unit
from benchmarks.service import Service
from support.receiver_world import MailServer, mail_server

_HEARD, _UNHEARD = "runner, with a mail receiver", "runner, without a receiver"
_WITHIN_S = 120.0
_GROUPING = """
from datetime import timedelta
from runner.notifying import notice
notice.GROUPING = timedelta(seconds={seconds})
"""
"""Runs before the runner: a message waits shorter for others than 30 s."""


def measure(setting: Setting) -> Result:
    """Measure `size` requests that fail; count the mails."""
    mails: list[int] = []
    with mail_server() as server:
        heard = Burst(
            program="/bin/false",
            status="error",
            prepare=lambda service: _receive(service, server, setting.size),
            after=lambda service, process: mails.append(_mails(service, process, server)),
        )
        found = alternately(
            setting.rounds,
            {
                _HEARD: lambda number: runner_rate(
                    setting.place(f"heard-{number}"), setting.size, [], heard
                ),
                _UNHEARD: lambda number: runner_rate(
                    setting.place(f"unheard-{number}"),
                    setting.size,
                    [],
                    Burst(program="/bin/false", status="error"),
                ),
            },
        )
    ours, beside = in_unit(found, "/s")
    return Result(
        ours=(ours,),
        beside=(beside,),
        targets=(
            Target(
                what="rate with a receiver over that without",
                unit="×",
                value=ours.median / beside.median,
                limit=0.9,
                at_least=True,
            ),
            Target(what="mails for all of them", unit="", value=max(mails), limit=1),
        ),
    )


def _receive(service: Service, server: MailServer, count: int) -> None:
    """Give a runner a receiver, and let it wait a while for further alerts."""
    folder: Path = service.jobs.parent
    email = {"to": ["ops@example.org"], "from": "runner@example.org", "host": "127.0.0.1"}
    receivers = {"ops": {"email": {**email, "port": server.port}}}
    (folder / "runner.yaml").write_text(json.dumps({"receivers": receivers}))
    (folder / "sitecustomize.py").write_text(_GROUPING.format(seconds=2 + count / 100))
    service.environment["PYTHONPATH"] = str(folder)


def _mails(service: Service, process: subprocess.Popen[bytes], server: MailServer) -> int:
    """Wait for a mail; return how many there are."""
    service.wait_for(
        process, lambda: service.records("notification.sent"), within_s=_WITHIN_S, every_s=0.1
    )
    return len(server.drained())
