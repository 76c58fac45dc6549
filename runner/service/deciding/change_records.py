"""The records of requests whose status changes, and what records about the runner say. Pure."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from runner import __version__
from runner.lifecycle import Channel
from runner.monitor import events
from runner.monitor.event_facts import RequestFacts, RunnerFacts
from runner.monitor.records import Record
from runner.planning.fires.planned_status import RequestChange
from runner.planning.states.state import RequestState
from runner.requests.model import ProcessRequest
from runner.service.runner_settings import Settings

_EVENTS: Mapping[RequestChange, Callable[[RequestFacts], Record]] = {
    RequestChange.SCHEDULED: events.request_scheduled,
    RequestChange.UNSCHEDULED: events.request_unscheduled,
    RequestChange.RESCHEDULED: events.request_rescheduled,
    RequestChange.COMPLETED: events.request_completed,
    RequestChange.REMOVED: events.request_removed,
}


def change_record(
    name: str,
    change: RequestChange,
    state: RequestState,
    request: ProcessRequest | None,
    *,
    git: str | None,
    by: str | None,
    message: str | None,
) -> Record:
    """Return the record of a change to `state`; `request` is None if its document is gone.

    `by` is the person who pressed a button.
    """
    source = request.source if request else None
    facts = RequestFacts(
        request=name,
        channel=Channel.PROCESS_SCHEDULER if by is None else Channel.DIRECT,
        status=state.status,
        generation=state.generation,
        drift=state.override is not None and not state.removed,
        requested_by=by,
        owner=None if request is None else request.owner,
        request_file=None if source is None else source.file,
        request_sha256=None if source is None else source.sha256,
        git_commit=git,
        message=message,
    )
    return _EVENTS[change](facts)


def runner_facts(settings: Settings, *, requests: int, git: str | None) -> RunnerFacts:
    """Return what all records about this runner contain."""
    return RunnerFacts(
        pid=os.getpid(),
        version=__version__,
        jobs=str(settings.jobs),
        state=str(settings.state),
        git_commit=git,
        requests=requests,
    )


def why_retired(state: RequestState) -> str:
    """Return why a request has no alerts any more."""
    if state.renamed_to is not None:
        return f"renamed to {state.renamed_to}"
    return "removed" if state.removed else "unscheduled"
