"""What the runner gives to the sender, and what it gets back: one JSON line each. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from runner.requests.receivers import Apprise, Email, ReceivingProgram, Way, Webhook

DELIVERY_S = 30.0
"""How long a delivery may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """A GET of the URL in a variable, with `suffix` after its path and `execution` as `rid`."""

    url_variable: str
    suffix: str = ""
    execution: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message to a receiver, or a ping.

    `way` says how it goes out, and `payload` is the content of a message. Secrets are only
    in variables: those of the sender's environment and of `environment_file`.
    """

    id: str
    way: Way | Ping
    payload: dict[str, Any] | None = None
    environment_file: str | None = None

    def line(self) -> bytes:
        """Return the delivery as one line."""
        data = {
            "id": self.id,
            "kind": type(self.way).__name__,
            "way": asdict(self.way),
            "payload": self.payload,
            "environment_file": self.environment_file,
        }
        return json.dumps(data, default=str).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryResult:
    """How a delivery ended. Without an `error` it succeeded, perhaps with a warning, `note`."""

    id: str
    error: str | None = None
    note: str | None = None

    def line(self) -> bytes:
        """Return the result as one line."""
        return json.dumps(asdict(self)).encode() + b"\n"


_WAYS: dict[str, Callable[..., Way | Ping]] = {
    each.__name__: each for each in (Email, Webhook, Apprise, ReceivingProgram, Ping)
}


def delivery_in(line: bytes) -> Delivery:
    """Return the delivery that `Delivery.line` wrote."""
    data = json.loads(line)
    way = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in data["way"].items()
    }
    return Delivery(
        id=data["id"],
        way=_WAYS[data["kind"]](**way),
        payload=data["payload"],
        environment_file=data["environment_file"],
    )


def result_in(line: bytes) -> DeliveryResult:
    """Return the result that `DeliveryResult.line` wrote. Raises ValueError or TypeError."""
    return DeliveryResult(**json.loads(line))
