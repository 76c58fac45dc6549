"""Begins and ends pauses as part of a decision."""

from __future__ import annotations

from runner.commands import Answer, Command
from runner.errors import RefusedError
from runner.monitor.event_facts import PauseFacts
from runner.monitor.events import runner_paused, runner_resumed
from runner.planning.states.pauses import (
    MOST_PAUSES,
    Pause,
    Pauses,
    begun,
    elapsed,
    resumed,
)
from runner.requests.catalog.unknown_names import words_for
from runner.requests.model import ProcessRequest
from runner.service.deciding.decision import Decision
from runner.values import counted


def pause(command: Command, decision: Decision) -> Answer:
    """Begin a pause of the named requests, or of all.

    The fires that were due before have their verdicts already. Raises RefusedError.
    """
    requests = _named(command, decision)
    _check(command, decision)
    new = Pause(
        begin=decision.now,
        end=command.until,
        reason=command.reason or "",
        by=command.requested_by,
        names=None if requests is None else frozenset(each.name for each in requests),
    )
    decision.put_pauses(begun(decision.pauses, new))
    record = runner_paused(decision.about(), _facts(new, new.by), message=new.reason)
    decision.record(record)
    what = ["all requests"] if requests is None else [each.name for each in requests]
    return Answer(is_done=True, lines=tuple(f"{each}: paused" for each in what))


def resume(command: Command, decision: Decision) -> Answer:
    """End the pauses of the named requests, or all pauses. Raises RefusedError."""
    requests = _named(command, decision)
    pauses, now = decision.pauses, decision.now
    _end(resumed(pauses, requests, now), decision, by=command.requested_by)
    if requests is None:
        word = "resumed" if pauses.at(now) else "nothing is paused"
        return Answer(is_done=True, lines=(f"all requests: {word}",))
    words = ("resumed" if pauses.at(now, each) else "not paused" for each in requests)
    lines = (f"{each.name}: {word}" for each, word in zip(requests, words, strict=True))
    return Answer(is_done=True, lines=tuple(lines))


def paused_words(decision: Decision) -> str | None:
    """Return what is paused, for the record of a start; None if nothing is."""
    words = [
        f"{'all requests' if each.names is None else counted(len(each.names), 'request')} "
        f"paused by {each.by}: {each.reason}"
        for each in decision.pauses.at(decision.now)
    ]
    return "; ".join(words) or None


def end_elapsed(decision: Decision) -> None:
    """End the pauses whose time has come."""
    _end(elapsed(decision.pauses, decision.now), decision, by=None)


def _end(change: tuple[Pauses, tuple[Pause, ...]], decision: Decision, *, by: str | None) -> None:
    """Put the changed pauses, and record the ended ones."""
    pauses, ended = change
    if not ended:
        return
    decision.put_pauses(pauses)
    for each in ended:
        record = runner_resumed(decision.about(), _facts(each, by), message=each.reason)
        decision.record(record)


def _check(command: Command, decision: Decision) -> None:
    """Raise RefusedError for a pause that cannot begin now."""
    if not command.reason:
        raise RefusedError("a pause needs a reason")
    if command.until is not None and command.until <= decision.now:
        raise RefusedError("the pause would be over already; its end must lie in the future")
    if len(decision.pauses.active) >= MOST_PAUSES:
        raise RefusedError(f"{MOST_PAUSES} pauses are active; `runner resume` ends them")


def _named(command: Command, decision: Decision) -> list[ProcessRequest] | None:
    """Return the requests that a command means; None for all.

    Raises RefusedError for an unknown name, and while the runner must not act.
    """
    if (trouble := decision.situation.clock_trouble or decision.situation.jobs_trouble) is not None:
        raise RefusedError(f"refused: {trouble}")
    if command.is_for_all:
        return None
    requests = decision.requests
    unknown = [name for name in command.targets if name not in requests]
    if unknown:
        raise RefusedError(words_for(unknown[0], requests, decision.rejections))
    return [requests[name] for name in dict.fromkeys(command.targets)]


def _facts(pause: Pause, by: str | None) -> PauseFacts:
    names = None if pause.names is None else sorted(pause.names)
    return PauseFacts(begin=pause.begin, end=pause.end, names=names, requested_by=by)
