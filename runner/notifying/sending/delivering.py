"""Carries out a delivery. Touches the network, processes and environment files."""

from __future__ import annotations

from runner.notifying.sending.delivery import Delivery, DeliveryResult, Ping
from runner.notifying.sending.variables import SendError, Variables
from runner.requests.receivers import Apprise, Email, ReceivingProgram, Webhook


def deliver(delivery: Delivery) -> DeliveryResult:
    """Send a message or a ping, and return how that ended, without secrets."""
    try:
        variables = Variables(delivery.environment_file)
    except SendError as error:
        return DeliveryResult(id=delivery.id, error=str(error))
    try:
        note = _send(delivery, variables)
    except SendError as error:
        return DeliveryResult(id=delivery.id, error=variables.masked(str(error)))
    except Exception as error:  # noqa: BLE001 - libraries raise anything
        words = f"{type(error).__name__}: {error}"
        return DeliveryResult(id=delivery.id, error=variables.masked(words))
    return DeliveryResult(id=delivery.id, note=note and variables.masked(note))


def _send(delivery: Delivery, variables: Variables) -> str | None:
    # Each library is imported only where it is needed: a ping needs no SMTP.
    payload = delivery.payload or {}
    match delivery.way:
        case Email() as email:
            from runner.notifying.sending.smtp import mail

            return mail(email, payload, variables)
        case Webhook() as webhook:
            from runner.notifying.sending.http_request import post

            post(webhook, payload, variables)
        case Ping() as target:
            from runner.notifying.sending.http_request import ping

            ping(target, variables)
        case ReceivingProgram() as program:
            from runner.notifying.sending.receiving_program import run

            run(program, payload, variables)
        case Apprise() as target:
            from runner.notifying.sending.apprise_services import notify

            notify(target, payload, variables)
    return None
