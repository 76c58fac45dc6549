"""Records what a person changed on the page, as part of the decision that changes it."""

from __future__ import annotations

from runner.commands import Answer, Command, CommandKind
from runner.monitor.event_facts import WebChangeFacts
from runner.monitor.events import is_from_web, web_changed
from runner.service.deciding.decision import Decision
from runner.service.executions.in_progress import named_among

_CHANGES_LATER = (
    CommandKind.EXEC,
    CommandKind.KILL,
    CommandKind.ACKNOWLEDGE,
    CommandKind.BACKFILL,
    CommandKind.LOGIN,
)
"""Commands whose own records come later or never; the others record what they change."""


def record_web_change(
    command: Command, answered: Answer, decision: Decision, *, is_recorded: bool
) -> None:
    """Record a command of the page that has changed something.

    `is_recorded` says that the command has made records of its own.
    """
    is_done = answered.is_done and command.kind in _CHANGES_LATER
    if not is_from_web(command.requested_by) or not (is_done or is_recorded):
        return
    facts = WebChangeFacts(
        request=_request_of(command, decision),
        action=command.kind,
        targets=None if command.is_for_all else command.targets,
        requested_by=command.requested_by,
        message="; ".join(answered.lines) or None,
    )
    decision.record(web_changed(facts))


def _request_of(command: Command, decision: Decision) -> str | None:
    """Return the one request that a command is about; None for several, or for all."""
    if len(command.targets) != 1:
        return None
    (target,) = command.targets
    if command.kind is CommandKind.KILL:
        found = named_among(decision.claims.changes, target)
        return found[0].request if found else None
    name = target.partition("/")[0]
    return name if name in decision.requests else None
