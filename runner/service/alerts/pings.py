"""Pings: GETs of a URL when an execution starts and ends, and as long as the runner lives.

A ping is sent once, with two quick retries. A ping that cannot be sent is dropped, because
a late one would report an outdated state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from runner.lifecycle import ExecutionStatus
from runner.notifying.sending.delivery import Delivery, DeliveryResult, Ping
from runner.requests.receivers import AlertSettings

_RUNNER = ""
"""The target of the runner's own pings; every other one is a request's name."""
_PREFIX = "ping "
PINGED = frozenset(
    {
        ExecutionStatus.SUCCESS,
        ExecutionStatus.ERROR,
        ExecutionStatus.KILLED,
        ExecutionStatus.SYSTEM_RESTART,
    }
)
"""The ends that a ping reports. A skipped or missed fire sends none."""


def start_ping(variable: str, execution: str) -> Ping:
    """Return the ping of an execution that started."""
    return Ping(url_variable=variable, suffix="/start", execution=execution)


def end_ping(variable: str, execution: str, status: ExecutionStatus, exit_code: int | None) -> Ping:
    """Return the ping of an execution that ended: its exit code, if that says how it ended.

    A success may have another exit code than 0, and a failure the exit code 0.
    """
    if status is ExecutionStatus.SUCCESS:
        suffix = "/0"
    elif exit_code is not None and 0 < exit_code < 256:
        suffix = f"/{exit_code}"
    else:
        suffix = "/fail"
    return Ping(url_variable=variable, suffix=suffix, execution=execution)


@dataclass(slots=True)
class _Target:
    """The pings that wait for one URL: at most an end and a later start."""

    waiting: list[Ping] = field(default_factory=list)
    is_sending: bool = False

    def add(self, ping: Ping) -> None:
        """Add a ping. An end replaces everything before it, a start only another start."""
        is_start = ping.suffix == "/start"
        ends = [each for each in self.waiting if each.suffix != "/start"]
        self.waiting = [*ends, ping] if is_start else [ping]


class Pings:
    """The pings that wait, by target. A target has one ping on its way, so order is kept."""

    def __init__(self, settings: AlertSettings) -> None:
        self.use(settings)
        self._targets: dict[str, _Target] = {}
        self._errors: dict[str, str] = {}  # of the targets whose last ping failed

    def use(self, settings: AlertSettings) -> None:
        """Put settings in force: the runner's ping, and the file with its URL."""
        self._runner, file = settings.ping, settings.environment_file
        self._environment_file = None if file is None else str(file)
        self._next_s = 0.0

    @property
    def trouble(self) -> str | None:
        """Why the last ping of a target was not sent; None if all were."""
        for name, error in self._errors.items():
            whose = f"the ping of {name}" if name else "the runner's ping"
            more = f" (and {len(self._errors) - 1} more)" if len(self._errors) > 1 else ""
            return f"{whose} was not sent: {error}{more}"
        return None

    def add(self, request: str, ping: Ping) -> None:
        """Add the ping of a request."""
        self._targets.setdefault(request, _Target()).add(ping)

    def due(self, now_s: float) -> Iterator[Delivery]:
        """Yield the deliveries to begin now. The caller must begin each delivery that it takes."""
        if self._runner is not None and self._next_s <= now_s:
            self._next_s = now_s + self._runner.every.total_seconds()
            self.add(_RUNNER, Ping(url_variable=self._runner.url_variable))
        for name, target in list(self._targets.items()):
            if target.waiting and not target.is_sending:
                target.is_sending = True
                yield Delivery(
                    id=f"{_PREFIX}{name}",
                    way=target.waiting.pop(0),
                    environment_file=self._environment_file,
                )

    def next_s(self) -> float | None:
        """Return when `due` has something, in elapsed seconds; None if nothing waits."""
        if any(each.waiting and not each.is_sending for each in self._targets.values()):
            return 0.0
        return self._next_s if self._runner is not None else None

    def take_result(self, result: DeliveryResult) -> bool:
        """Note the end of a ping; return False for another delivery's result."""
        if not result.id.startswith(_PREFIX):
            return False
        name = result.id.removeprefix(_PREFIX)
        target = self._targets[name]
        target.is_sending = False
        if not target.waiting:
            del self._targets[name]
        self._errors.pop(name, None)
        if result.error is not None:
            self._errors[name] = result.error
        return True
