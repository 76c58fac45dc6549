"""Carries out a command as part of a decision; effects outside follow the commit."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from runner.commands import Answer, Command, CommandKind
from runner.errors import RefusedError
from runner.execution.report import forms_of
from runner.lifecycle import Channel, Reason
from runner.planning.changeover import Served, registration_of
from runner.planning.states.renaming import renamings
from runner.planning.states.state import RequestState
from runner.planning.transitions import presses
from runner.planning.transitions.registration import settling_former
from runner.requests.catalog.unknown_names import is_rejected, near_name, words_for
from runner.requests.model import Group, Process, ProcessRequest, Reference
from runner.service.deciding import backfilling
from runner.service.deciding.acknowledging import acknowledge
from runner.service.deciding.decision import Decision
from runner.service.deciding.pausing import pause, resume
from runner.service.executions.dispatching.launching import (
    SHORTEST_SECRET,
    param_text,
    secret_values,
)
from runner.service.executions.execution import Ask, Execution
from runner.service.executions.in_progress import named_among
from runner.system.background_calls import within

_Find = Callable[[str], ProcessRequest | None]
_PATIENCE_S = 1.0
"""How long to wait for environment files; a mount that hangs never returns them."""
_DONE = {
    CommandKind.SCHEDULE: "scheduled",
    CommandKind.UNSCHEDULE: "unscheduled",
    CommandKind.RESCHEDULE: "rescheduled",
}


def answer(command: Command, decision: Decision) -> Answer:
    """Decide about a command and return its answer. Raises RefusedError.

    `Mail` answers the commands to the runner itself.
    """
    match command.kind:
        case CommandKind.SCHEDULE | CommandKind.UNSCHEDULE | CommandKind.RESCHEDULE:
            return _press(command, decision)
        case CommandKind.EXEC:
            return _exec(command, decision)
        case CommandKind.KILL:
            return _kill(command, decision)
        case CommandKind.PAUSE:
            return pause(command, decision)
        case CommandKind.RESUME:
            return resume(command, decision)
        case CommandKind.ACKNOWLEDGE:
            return acknowledge(command, decision)
        case CommandKind.BACKFILL:
            return backfilling.begin(command, decision)
        case CommandKind.LOGIN:
            return Answer(is_done=True)
        case CommandKind.RELOAD | CommandKind.RESTART | CommandKind.STOP | CommandKind.LEAVE:
            raise AssertionError("the loop itself carries this out")


def _press(command: Command, decision: Decision) -> Answer:
    """Press Schedule, Unschedule or Reschedule for each target.

    A refusal for one request does not affect the others. A command for all requests
    passes over those that refuse.
    """
    if (trouble := decision.situation.clock_trouble or decision.situation.jobs_trouble) is not None:
        return Answer(is_done=False, lines=(f"refused: {trouble}",))
    lines, refused = [], False
    for name in sorted(decision.requests) if command.is_for_all else dict.fromkeys(command.targets):
        try:
            lines.append(f"{name}: {_press_one(command, name, decision)}")
        except RefusedError as error:
            if not command.is_for_all:
                lines.append(f"{name}: refused, {error}")
                refused = True
    return Answer(is_done=not refused, lines=tuple(lines))


def _press_one(command: Command, name: str, decision: Decision) -> str:
    request = _request(name, decision)
    state = _registered(name, request, decision)
    by, now = command.requested_by, decision.now
    match command.kind:
        case CommandKind.SCHEDULE:
            pressed = presses.schedule(request, state, now, by=by)
        case CommandKind.UNSCHEDULE:
            pressed = presses.unschedule(state, now, by=by)
        case _:
            pressed = presses.reschedule(request, state, now, by=by)
    if name not in decision.states:
        # Due fires are settled once per decision; later states come from the decision itself.
        pressed = settling_former(pressed, request, state, now)
    decision.register(name, pressed, by=by)
    if pressed.change is None:
        return f"already {pressed.state.status}"
    return (
        _DONE[command.kind]
        if pressed.state.override is None
        else f"{_DONE[command.kind]} (differs from its file)"
    )


def _registered(name: str, request: ProcessRequest, decision: Decision) -> RequestState:
    """Return the state of a request after it has followed its file.

    While no runner is running, the file may have changed since the last registration.
    """
    state = decision.state(name)
    former = renamings([name], decision.requests, decision.all_states).get(name)
    served = Served(requests=decision.requests, states=decision.all_states)
    registered = registration_of(request, served, former, decision.now)
    if registered.state != state:
        decision.register(name, registered)
    return registered.state


def _exec(command: Command, decision: Decision) -> Answer:
    (name,) = command.targets
    if decision.situation.is_stopping:
        return Answer(is_done=False, lines=("the runner is stopping",))
    if decision.situation.jobs_trouble is not None:
        return Answer(is_done=False, lines=(decision.situation.jobs_trouble,))
    try:
        request = _request(name, decision)
        refuse_secret_params(command.params, request, decision.requests.get, os.environ)
    except RefusedError as error:
        return Answer(is_done=False, lines=(str(error),))
    ask = Ask(channel=Channel.DIRECT, by=command.requested_by, params=command.params)
    execution, outcome = decision.claim(request, decision.now, ask)
    if outcome is not None:
        return Answer(is_done=False, lines=(f"{name}: {outcome.message}",))
    data = {
        "execution": execution.id,
        "output_file": execution.claim.output_file,
        "is_group": execution.is_group,
    }
    return Answer(is_done=True, data=data)


def refuse_secret_params(
    params: Mapping[str, Any], request: ProcessRequest, find: _Find, environment: Mapping[str, str]
) -> None:
    """Refuse a parameter that `secrets` names, or that holds a value to mask.

    A parameter is not secret: the store and the command line of `runner exec` show it.
    `environment` is the runner's. Raises RefusedError.
    """
    if not params:
        return
    processes = _processes(request, find)
    names = {name.upper() for process in processes for name in process.secrets}
    try:
        values = within(
            _PATIENCE_S,
            lambda: frozenset[str]().union(
                *(secret_values(each, environment) for each in processes)
            ),
        )
    except TimeoutError:
        raise RefusedError(f"{request.name}: its environment files do not answer") from None
    for param, value in params.items():
        if not names.isdisjoint((param.upper(), f"RUNNER_PARAM_{param.upper()}")):
            what = "is one of its `secrets`"
        elif _holds_secret(param_text(value), values):
            what = "contains the value of one of its secrets"
        else:
            continue
        raise RefusedError(
            f"{request.name}: {param!r} {what}, but the runner stores parameters unmasked;"
            " put the secret into an `environment_file` or the runner's own environment"
        )


def _holds_secret(text: str, secrets: frozenset[str]) -> bool:
    """Return whether a text is a secret or contains one, as it is or in another masked form.

    A very short secret occurs in many texts by chance, so it counts only as a whole text.
    """
    raw = text.encode("utf-8", "surrogatepass")
    return text in secrets or any(
        len(form) >= SHORTEST_SECRET and form in raw for form in forms_of(secrets)
    )


def _processes(request: ProcessRequest, find: _Find) -> list[Process]:
    """Return every process that a request may run, with its references and members."""
    followed, processes = {request.name}, [request.process]
    # The list grows while the loop walks it; `followed` ends a cycle of references.
    for process in processes:
        match process.action:
            case Group(members=members):
                processes += members
            case Reference(request=name) if (
                name not in followed and (other := find(name)) is not None
            ):
                followed.add(name)
                processes.append(other.process)
    return processes


def _kill(command: Command, decision: Decision) -> Answer:
    lines, is_done = [], True
    # Taken once, because two targets may mean the same execution.
    executions = tuple(decision.claims.changes)
    for target in dict.fromkeys(command.targets):
        found = named_among(executions, target)
        refusal, ended = _refusal(target, found, decision), list[str]()
        if refusal is None or not found:
            ended = backfilling.end_killed(target, found, decision, by=command.requested_by)
        lines += ended
        if refusal is not None and not ended:
            lines.append(refusal)
            is_done = False
            continue
        for execution in found:
            decision.claims.stop(execution, Reason.KILLED_BY_USER, by=command.requested_by)
            lines.append(f"{execution.name}: killing {execution.id}")
    return Answer(is_done=is_done, lines=tuple(lines))


def _refusal(target: str, found: list[Execution], decision: Decision) -> str | None:
    """Return a sentence that says why `target` kills nothing; None if it may.

    A request's name may mean several executions; any other target must mean only one.
    """
    if not found:
        if target in decision.requests:
            return f"{target} is not running"
        if is_rejected(target, decision.rejections):
            why = words_for(target, decision.requests, decision.rejections)
            return f"{target} is not running; {why}"
        near = near_name(target, decision.requests, decision.rejections)
        hint = f"; did you mean {near!r}?" if near else ""
        return f"there is no request or execution {target!r}{hint}"
    if len(found) > 1 and found[0].request != target:
        return (
            f"{target}: refused, it is ambiguous: {', '.join(execution.id for execution in found)}"
        )
    return None


def _request(name: str, decision: Decision) -> ProcessRequest:
    if name in decision.requests:
        return decision.requests[name]
    raise RefusedError(words_for(name, decision.requests, decision.rejections))
