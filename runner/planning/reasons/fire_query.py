"""The question of `explain`, and what several of its answers need. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runner.lifecycle import RequestStatus
from runner.planning.fires.firing import delay_of
from runner.planning.reasons.history import Downtime, History, PastChange
from runner.planning.reasons.why_no_fire import Because, Cause, local_words
from runner.planning.states.pauses import NO_PAUSES, Pause, Pauses
from runner.planning.states.state import RequestState
from runner.planning.transitions.failures_in_a_row import stop_words
from runner.requests.model import ProcessRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class FireQuery:
    """The question why a request did, or did not, run at `at`.

    It concerns a fire within the second that begins at `at`. `state` is the request's state
    in the store; None if no runner has seen the request. Messages give times in `zone`.
    `pauses` are those of the store.
    """

    request: ProcessRequest
    state: RequestState | None
    at: datetime
    now: datetime
    history: History
    zone: str
    pauses: Pauses = NO_PAUSES

    @property
    def due(self) -> datetime:
        """When the fire falls due, after its spread."""
        return self.at + delay_of(self.request)

    @property
    def pause(self) -> Pause | None:
        """The active pause that holds the fire."""
        pause = self.pauses.holding(self.request, self.due)
        return None if pause is None or pause.is_over else pause


def unscheduled_words(state: RequestState, zone: str) -> str | None:
    """Return who unscheduled a request and when, in words; None if it is not unscheduled."""
    if state.status is not RequestStatus.UNSCHEDULED:
        return None
    if state.override is False:
        at = f" at {local_words(state.override_at, zone)}" if state.override_at else ""
        how = stop_words(state) if state.is_stopped_by_failures else f"by {state.override_by}"
        return f"unscheduled {how}{at}"
    return "its file is gone" if state.removed else "its file says `scheduled: false`"


def paused_reason(pause: Pause, zone: str) -> Because:
    """Explain that a pause holds, or held, a fire."""
    end = f" until {local_words(pause.end, zone)}" if pause.end else ""
    since = f"since {local_words(pause.begin, zone)}{end} by {pause.by}"
    return Because(cause=Cause.PAUSED, message=f"paused {since}: {pause.reason}")


def downtime_reason(downtime: Downtime, zone: str) -> Because:
    """Explain that no runner was running."""
    since = f" since {local_words(downtime.since, zone)}" if downtime.since else ""
    if downtime.since is not None and not downtime.is_orderly:
        since = f"; a runner was last seen at {local_words(downtime.since, zone)}"
    until = (
        f"; the next started at {local_words(downtime.until, zone)}"
        if downtime.until
        else "; none has started since"
    )
    return Because(cause=Cause.RUNNER_DOWN, message=f"no runner was running{since}{until}")


def first_registered(query: FireQuery) -> datetime | None:
    """Return when a runner first saw the request; None if unknown."""
    changes, state = query.history.changes, query.state
    if state is not None and state.generation == 1:
        return state.since
    return changes[0].at if changes and changes[0].generation == 1 else None


def not_registered(registered: datetime, zone: str) -> Because:
    """Explain that the request was first seen later, at `registered`."""
    return Because(
        cause=Cause.NOT_REGISTERED,
        message=f"it was first seen later: {local_words(registered, zone)}",
    )


def by_words(change: PastChange) -> str:
    """Return who asked for a change, as " by NAME"; "" for a change of the file."""
    return f" by {change.by}" if change.by else ""
