"""Which fire times are due, and what becomes of them: the verdicts of DESIGN.md, Misfire. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from runner.lifecycle import Misfire, RequestEvent, RequestStatus, after
from runner.planning.state import RequestState
from runner.requests.model import ProcessRequest, RunImmediately, RunLater, Schedule
from runner.timing.upcoming import next_fire, span, spread_offset

CATCH_UP_LIMIT = 100
"""How many missed fires `fire_all` runs at the most; the latest of them."""

_NO_DELAY = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A span of fires of one request that did not run: how many, the first and the last of them."""

    count: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What becomes of the due fires of one request: the state afterwards, the fire times to claim (oldest first), and
    the span that was missed."""

    state: RequestState
    claims: tuple[datetime, ...] = ()
    miss: Miss | None = None


def pending_fire(request: ProcessRequest, state: RequestState) -> datetime | None:
    """Return the first fire time that has had no verdict yet, unspread, whether or not the request is scheduled."""
    match request.timing:
        case None:
            return None
        case RunImmediately() | RunLater() as timing:
            fire = one_time_fire(timing, state)
            return fire if fire > state.fired_through else None
        case Schedule(rule=rule):
            return next_fire(rule, state.fired_through, counted_from=state.counted_from)
        case _:
            assert_never(request.timing)


def one_time_fire(timing: RunImmediately | RunLater, state: RequestState) -> datetime:
    """Return the only fire time of a one-time request's present generation."""
    if isinstance(timing, RunImmediately):
        return state.since
    return timing.start if state.counted_from is None else max(timing.start, state.counted_from)


def due_at(request: ProcessRequest, state: RequestState) -> datetime | None:
    """Return when the loop must look at a request next: its pending fire, delayed by its spread; None if it rests."""
    if state.status is not RequestStatus.SCHEDULED or (fire := pending_fire(request, state)) is None:
        return None
    return fire + delay_of(request)


def settle(request: ProcessRequest, state: RequestState, now: datetime) -> Settlement:
    """Give every fire that is due at `now` its verdict. The last fire completes the request."""
    if (due := due_at(request, state)) is None or due > now:
        return Settlement(state=state)
    match request.timing:
        case RunImmediately() | RunLater() as timing:
            settled = _settle_one_time(timing, state, now)
        case Schedule() as timing:
            settled = _settle_schedule(timing, state, now, delay=delay_of(request))
        case _:
            raise AssertionError("a request without timing is never due")
    if pending_fire(request, settled.state) is None:
        complete = replace(settled.state, status=after(settled.state.status, RequestEvent.EXHAUST))
        return replace(settled, state=complete)
    return settled


def abandoned(request: ProcessRequest, before: RequestState, changed: RequestState, now: datetime) -> Miss | None:
    """Return the fires due at `now` that a change of state would leave without a verdict: they are missed.

    `request` is the definition that was in force until now. A run-immediately that is only unscheduled is not missed:
    it runs when it is scheduled again.
    """
    is_planned_anew = changed.generation != before.generation
    is_kept = changed.status is RequestStatus.SCHEDULED or isinstance(request.timing, RunImmediately)
    if is_kept and not is_planned_anew:
        return None
    if (due := due_at(request, before)) is None or due > now:
        return None
    if isinstance(request.timing, RunImmediately | RunLater):
        fire = one_time_fire(request.timing, before)
        return Miss(count=1, first=fire, last=fire)
    assert isinstance(request.timing, Schedule), "a request without timing is never due"
    left = span(request.timing.rule, before.fired_through, now - delay_of(request), counted_from=before.counted_from)
    assert left.first is not None, "a fire is due"
    return Miss(count=left.count, first=left.first, last=left.latest[-1])


def without_abandoned(
    request: ProcessRequest | None, before: RequestState | None, changed: RequestState, now: datetime
) -> tuple[RequestState, Miss | None]:
    """Return the changed state with what it abandons settled, and that; `request` and `before` are None if new."""
    if request is None or before is None or (miss := abandoned(request, before, changed, now)) is None:
        return changed, None
    if changed.generation != before.generation:
        return changed, miss  # its watermark is its own: a reschedule's fire may be this very instant
    return replace(changed, fired_through=max(changed.fired_through, miss.last)), miss


def _settle_one_time(timing: RunImmediately | RunLater, state: RequestState, now: datetime) -> Settlement:
    fire = one_time_fire(timing, state)
    settled = replace(state, fired_through=fire)
    if isinstance(timing, RunImmediately):
        return Settlement(state=replace(settled, ran_immediately=True), claims=(fire,))
    if now - fire <= timing.misfire_grace or timing.misfire is Misfire.FIRE_ALL:
        return Settlement(state=settled, claims=(fire,))
    claims = (fire,) if timing.misfire is Misfire.FIRE_ONCE else ()
    return Settlement(state=settled, claims=claims, miss=Miss(count=1, first=fire, last=fire))


def _settle_schedule(timing: Schedule, state: RequestState, now: datetime, *, delay: timedelta) -> Settlement:
    # One more than can run, so that the last fire that only goes into the record is known too.
    keep = CATCH_UP_LIMIT + 2 if timing.misfire is Misfire.FIRE_ALL else 2
    due = span(timing.rule, state.fired_through, now - delay, keep=keep, counted_from=state.counted_from)
    assert due.first is not None, "the caller saw that a fire is due"
    latest = due.latest[-1]
    is_on_time = now - (latest + delay) <= timing.misfire_grace
    on_time, missed = (due.latest[-1:], due.latest[:-1]) if is_on_time else ((), due.latest)
    caught_up, recorded = _catch_up(timing.misfire, missed, count=due.count - len(on_time))
    miss = Miss(count=recorded, first=due.first, last=_last_recorded(timing.misfire, missed)) if recorded else None
    return Settlement(state=replace(state, fired_through=latest), claims=caught_up + on_time, miss=miss)


def _catch_up(misfire: Misfire, missed: tuple[datetime, ...], *, count: int) -> tuple[tuple[datetime, ...], int]:
    """Return which of the missed fires run after all, and how many go into the record."""
    match misfire:
        case Misfire.SKIP:
            return (), count
        case Misfire.FIRE_ONCE:
            return missed[-1:], count
        case Misfire.FIRE_ALL:
            run = missed[-CATCH_UP_LIMIT:]
            return run, count - len(run)
        case _:
            assert_never(misfire)


def _last_recorded(misfire: Misfire, missed: tuple[datetime, ...]) -> datetime:
    return missed[-CATCH_UP_LIMIT - 1] if misfire is Misfire.FIRE_ALL else missed[-1]


def delay_of(request: ProcessRequest) -> timedelta:
    """Return by how much a request's spread delays each of its fires."""
    timing = request.timing
    if isinstance(timing, Schedule) and timing.spread:
        return spread_offset(request.name, timing.spread)
    return _NO_DELAY
