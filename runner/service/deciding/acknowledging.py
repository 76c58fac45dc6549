"""Silences open alerts as part of a decision."""

from __future__ import annotations

from collections.abc import Iterator

from runner.commands import Answer, Command
from runner.errors import RefusedError
from runner.lifecycle import Check
from runner.requests.catalog.unknown_names import words_for
from runner.service.deciding.decision import Decision
from runner.values import instant_text


def acknowledge(command: Command, decision: Decision) -> Answer:
    """Silence the named alerts until a time, and keep who asked for it. Raises RefusedError.

    A target is a request, for all its alerts, or one alert: `REQUEST/CHECK`, or only the
    check for an alert about the runner itself.
    """
    if (until := command.until) is None:
        raise RefusedError("an acknowledgement needs a time at which it ends")
    lines, is_done = [], True
    for target in dict.fromkeys(command.targets):
        found = list(_open(target, decision))
        for request, check in found:
            decision.alerts.acknowledge(request, check, by=command.requested_by, until=until)
            name = check if request is None else f"{request}/{check}"
            lines.append(f"{name}: acknowledged until {instant_text(until)[:19]}Z")
        if not found:
            lines.append(f"{target}: {_refusal(target, decision)}")
            is_done = False
    return Answer(is_done=is_done, lines=tuple(lines))


def _open(target: str, decision: Decision) -> Iterator[tuple[str | None, Check]]:
    """Yield the open checks that a person means."""
    request, _, named = target.partition("/")
    for name, check_name in ((None, target), (request, named)):
        for check, state in decision.alerts.of(name).items():
            if state.since is not None and check_name in ("", check):
                yield name, check


def _refusal(target: str, decision: Decision) -> str:
    request = target.partition("/")[0]
    if request in decision.requests or target in {*Check}:
        return "refused, no such alert is open"
    return f"refused, {words_for(request, decision.requests, decision.rejections)}"
