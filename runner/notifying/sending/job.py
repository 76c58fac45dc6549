"""What the runner gives to the sender, and what it gets back: one JSON line each. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from runner.requests.receivers import Apprise, Email, ReceivingProgram, Way, Webhook

JOB_S = 30.0
"""How long a job may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """A GET of the URL in a variable, with `suffix` after its path and `execution` as `rid`."""

    url_variable: str
    suffix: str = ""
    execution: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A message to a receiver, or a ping.

    `way` says how a message goes out. `payload` is what programs get of it. Secrets are
    only in variables: those of the sender's environment and of `environment_file`.
    """

    id: str
    way: Way | Ping
    payload: dict[str, Any] | None = None
    environment_file: str | None = None

    def line(self) -> bytes:
        """Return the job as one line."""
        data = {
            "id": self.id,
            "kind": type(self.way).__name__,
            "way": asdict(self.way),
            "payload": self.payload,
            "environment_file": self.environment_file,
        }
        return json.dumps(data, default=str).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The end of a job. Without an `error` it succeeded; `note` says what was odd all the same."""

    id: str
    error: str | None = None
    note: str | None = None

    def line(self) -> bytes:
        """Return the result as one line."""
        return json.dumps(asdict(self)).encode() + b"\n"


_WAYS: dict[str, Callable[..., Way | Ping]] = {
    each.__name__: each for each in (Email, Webhook, Apprise, ReceivingProgram, Ping)
}


def job_in(line: bytes) -> Job:
    """Return the job that `Job.line` wrote."""
    data = json.loads(line)
    way = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in data["way"].items()
    }
    return Job(
        id=data["id"],
        way=_WAYS[data["kind"]](**way),
        payload=data["payload"],
        environment_file=data["environment_file"],
    )


def result_in(line: bytes) -> Result:
    """Return the result that `Result.line` wrote. Raises ValueError or TypeError."""
    return Result(**json.loads(line))
