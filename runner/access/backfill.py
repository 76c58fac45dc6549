"""Which fires of a past span a backfill runs. Reads the store."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from runner.access.loading import Loaded
from runner.access.places import Places
from runner.errors import RefusedError
from runner.lifecycle import Channel, ExecutionStatus
from runner.planning.retention import NEWEST_RESULTS
from runner.planning.states.backfills import MOST_FIRES, past_fires
from runner.planning.states.state import RequestState
from runner.requests.model import Schedule
from runner.service.executions.execution import execution_of
from runner.store.opening import read_store
from runner.store.rows import OF_VERSION_1, ResultRow
from runner.timing.local_times import local_text
from runner.timing.rules import Rule
from runner.values import from_microseconds

_FIRES = (Channel.PROCESS_SCHEDULER, Channel.RETRY, Channel.BACKFILL)
"""The channels whose executions belong to a fire of the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPast:
    """What is known of a request's past: its rule, its state, and what its fires came to."""

    name: str
    rule: Rule
    state: RequestState
    succeeded: frozenset[datetime]
    in_progress: frozenset[datetime]
    known_from: datetime
    """Earlier successes may be unknown."""


def past_of(name: str, loaded: Loaded, places: Places) -> RequestPast:
    """Return the past of a request. Raises RefusedError if it has none, UsageError as
    `Loaded.request`, and StoreError.
    """
    request, state = loaded.request(name), loaded.states.get(name)
    if not isinstance(request.timing, Schedule):
        raise RefusedError(f"{name}: only a schedule has fires of the past")
    if state is None:
        raise RefusedError(f"{name}: no runner has seen this request yet")
    with closing(read_store(places.store)) as reader:
        results = reader.results_of(name)
    of_fires = [each for each in results if each.channel in _FIRES]
    executions = [execution_of(row) for row in loaded.snapshot.executions]
    return RequestPast(
        name=name,
        rule=request.timing.rule,
        state=state,
        succeeded=frozenset(
            from_microseconds(each.scheduled_for)
            for each in of_fires
            if each.status == ExecutionStatus.SUCCESS
        ),
        in_progress=frozenset(
            each.claim.scheduled_for
            for each in executions
            if each.request == name and each.claim.channel in _FIRES
        ),
        known_from=_known_from(state, results),
    )


def _known_from(state: RequestState, results: tuple[ResultRow, ...]) -> datetime:
    """Return from when on the store knows every success of a request.

    It keeps the newest results, and perhaps older ones with gaps in between.
    """
    newest = results[:NEWEST_RESULTS]  # in front
    if not newest:
        return state.since
    if newest[-1].execution.startswith(OF_VERSION_1):
        return from_microseconds(newest[-1].ended)
    known = newest[-1].scheduled_for if newest[-1].channel in _FIRES else newest[-1].ended
    at = from_microseconds(known)
    return at if len(newest) == NEWEST_RESULTS else min(at, state.since)


def fires_to_run(
    past: RequestPast, first: datetime, last: datetime, at_most: int | None, *, is_for_all: bool
) -> tuple[datetime, ...]:
    """Return the fires to run. Raises RefusedError if they are too many, or too old."""
    settled = past.in_progress if is_for_all else past.in_progress | past.succeeded
    found = past_fires(
        past.rule,
        first,
        min(last, past.state.fired_through),
        counted_from=past.state.counted_from,
        settled=settled,
    )
    fires = tuple(islice(found, at_most or MOST_FIRES + 1))
    if len(fires) > MOST_FIRES:
        raise RefusedError(
            f"{past.name}: the span has more than {MOST_FIRES:,} such fires; "
            "give a shorter span, or --at-most"
        )
    if fires and fires[0] < past.known_from and not is_for_all:
        known = local_text(past.known_from, past.rule.zone)
        raise RefusedError(
            f"{past.name}: successes before {known} are not known; give a later --from, "
            "or --all to run every fire of the span"
        )
    return fires
