"""What a command would do now, in words. Reads what the site shows.

The words come from the functions that the runner decides with.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from runner.access.loading import Loaded
from runner.commands import Command, CommandKind
from runner.errors import RefusedError
from runner.lifecycle import RequestStatus
from runner.planning.coming_fires import coming_fires, standing
from runner.planning.states.state import RequestState
from runner.planning.transitions import presses
from runner.requests.model import ProcessRequest
from runner.service.executions.execution import execution_of
from runner.service.executions.in_progress import named_among
from runner.timing.local_times import local_text
from runner.values import counted, listed
from runner.web.site import Site

_MOST_SHOWN = 5


def preview(site: Site, command: Command) -> list[str]:
    """Return what a command would do now, as sentences. Raises RefusedError and UsageError."""
    loaded, zone = site.loaded(), site.places.zone
    match command.kind:
        case CommandKind.SCHEDULE | CommandKind.UNSCHEDULE | CommandKind.RESCHEDULE:
            return list(_press_words(command, loaded, zone))
        case CommandKind.EXEC:
            return list(_exec_words(loaded.request(command.targets[0]), loaded))
        case CommandKind.KILL:
            return _kill_words(command.targets[0], loaded)
        case CommandKind.PAUSE:
            return _pause_words(command, loaded, zone)
        case CommandKind.BACKFILL:
            fires = [local_text(fire, zone) for fire in command.fires]
            return [f"{counted(len(fires), 'fire')} would run: {listed(fires, _MOST_SHOWN)}."]
        case _:
            return []


def _press_words(command: Command, loaded: Loaded, zone: str) -> Iterator[str]:
    request = loaded.request(command.targets[0])
    before = standing(request, loaded.states.get(request.name), loaded.now)
    match command.kind:
        case CommandKind.SCHEDULE:
            pressed = presses.schedule(request, before, loaded.now, by=command.requested_by)
        case CommandKind.UNSCHEDULE:
            pressed = presses.unschedule(before, loaded.now, by=command.requested_by)
        case _:
            pressed = presses.reschedule(request, before, loaded.now, by=command.requested_by)
    yield f"Now: {_state_words(request, before, loaded, zone)}."
    yield f"Then: {_state_words(request, pressed.state, loaded, zone)}."
    if pressed.state.override is not None:
        yield "The request then differs from its file, until the file's own word changes."


def _state_words(request: ProcessRequest, state: RequestState, loaded: Loaded, zone: str) -> str:
    found = coming_fires(request, state, loaded.now, loaded.pauses.held(request))
    fires = [local_text(fire, zone) for fire in islice(found, 3)]
    return f"{state.status}, {'next fires ' + ', '.join(fires) if fires else 'no more fires'}"


def _exec_words(request: ProcessRequest, loaded: Loaded) -> Iterator[str]:
    running = [
        each
        for each in map(execution_of, loaded.snapshot.executions)
        if each.request == request.name
    ]
    if running and request.process.prevent_concurrent:
        yield (
            "It is running now, and does not run twice at once: this execution would be "
            f"{_OVERLAPPING[request.process.on_overlap]}."
        )
    elif running:
        yield "It is running now; this execution would run beside it."


_OVERLAPPING = {"refuse": "skipped", "queue": "queued", "replace": "put in its place"}


def _kill_words(target: str, loaded: Loaded) -> list[str]:
    found = named_among(map(execution_of, loaded.snapshot.executions), target)
    if not found:
        raise RefusedError(f"{target} is not running")
    return [
        f"{each.name}, execution {each.id}"
        + (f", process {each.pid}." if each.pid is not None else ", which waits.")
        for each in found[:_MOST_SHOWN]
    ]


def _pause_words(command: Command, loaded: Loaded, zone: str) -> list[str]:
    names = loaded.in_force.requests if command.is_for_all else command.targets
    coming = []
    for name in names:
        request = loaded.request(name)
        state = standing(request, loaded.states.get(name), loaded.now)
        if state.status is RequestStatus.SCHEDULED:
            coming += [(fire, name) for fire in islice(coming_fires(request, state, loaded.now), 1)]
    until = command.until
    held = [
        f"{name} at {local_text(fire, zone)}"
        for fire, name in sorted(coming)
        if until is None or fire < until
    ]
    if not held:
        return ["No fire falls into the pause."]
    return [f"The pause would hold, first of all: {listed(held, _MOST_SHOWN)}."]
