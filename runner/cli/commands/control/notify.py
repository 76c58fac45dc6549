"""`notify --test`: send a test message to a receiver. Needs only the settings, no runner."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import click

from runner.access.places import Places
from runner.cli.options import place_options
from runner.cli.output.tables import echo
from runner.errors import UsageError
from runner.requests.receivers import AlertSettings

if TYPE_CHECKING:
    from runner.notifying.sending.delivery import Delivery, DeliveryResult


@click.command("notify")
@click.option("--test", "receiver", metavar="RECEIVER", required=True, help="The receiver.")
@place_options
def notify_command(receiver: str, places: Places) -> None:
    """Send a test message to a receiver of runner.yaml, and say whether it took it.

    The message goes out from this command, not from the runner: the variables of the
    receiver are those of this command and of `environment_file`.

    \b
    Example:
      runner notify --test ops
    """
    alerts = places.settings.alerts
    if receiver not in alerts.receivers:
        from runner.requests.building.alert_settings import unknown_receiver

        message, suggestion = unknown_receiver(receiver, alerts.receivers)
        raise UsageError(f"{message} ({suggestion})")
    result = _sent(_test_of(receiver, alerts, places))
    if result.error is not None:
        echo(f"{receiver} did not get the test message: {result.error}", err=True)
        raise SystemExit(1)
    note = f"; {result.note}" if result.note else ""
    echo(f"{receiver} took the test message{note}")


def _test_of(receiver: str, alerts: AlertSettings, places: Places) -> Delivery:
    from runner.notifying.message import test_payload
    from runner.notifying.sending.delivery import Delivery
    from runner.values import new_id

    file = alerts.environment_file
    jobs = str(places.jobs.absolute())
    return Delivery(
        id=receiver,
        way=alerts.receivers[receiver],
        payload=test_payload(new_id(), receiver, socket.gethostname(), jobs),
        environment_file=None if file is None else str(file.absolute()),
    )


def _sent(delivery: Delivery) -> DeliveryResult:
    """Give a delivery to a sender, and return its result."""
    from runner.notifying.sending.delivery import DELIVERY_S, DeliveryResult, result_in
    from runner.notifying.sending.sender import COMMAND

    process = subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
    )
    try:
        output, _ = process.communicate(delivery.line(), timeout=DELIVERY_S)
    except subprocess.TimeoutExpired:
        return DeliveryResult(id=delivery.id, error=f"no answer within {DELIVERY_S:g} s")
    finally:
        if process.poll() is None:  # the time is over, or Ctrl-C
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if not output:
        return DeliveryResult(id=delivery.id, error="the sender died")
    return result_in(output)
