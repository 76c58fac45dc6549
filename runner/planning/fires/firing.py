"""Give due fires their verdicts: run, or missed. Pure.

runner/README.md, "Missed fires", has the rules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from runner.evolution import evolved
from runner.lifecycle import Misfire, RequestEvent, RequestStatus, after
from runner.planning.fires.due_fires import (
    claimed_with,
    due_fires,
    next_pending,
    parts_without_verdict,
)
from runner.planning.states.claimed_spans import ClaimedSpans
from runner.planning.states.pauses import NOT_HELD, Held
from runner.planning.states.state import RequestState
from runner.requests.model import Outline, RunImmediately, RunLater, Schedule
from runner.timing.rules import Rule
from runner.timing.upcoming import Span, spread_offset
from runner.timing.zones import END

CATCH_UP_LIMIT = 100
"""Maximum number of missed fires that `fire_all` runs: the latest ones."""

_NO_DELAY = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A span of fires of one request that did not run: their number, the first, the last."""

    count: int
    first: datetime
    last: datetime
    is_paused: bool = False
    """Whether a pause held the fires; otherwise they were missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The verdicts of one request's due fires.

    `state` is the state afterwards, and `claims` the fire times to claim (oldest first).
    `misses` are the spans of fires to record, ascending: one, or one for each part if a pause
    began or ended in between.
    """

    state: RequestState
    claims: tuple[datetime, ...] = ()
    misses: tuple[Miss, ...] = ()

    @property
    def miss(self) -> Miss | None:
        """The first span of fires that were missed; the only one without a pause."""
        return next((each for each in self.misses if not each.is_paused), None)


def pending_fire(request: Outline, state: RequestState) -> datetime | None:
    """Return the first fire time, without spread, that can still fire.

    The status of the request does not matter.
    """
    match request.timing:
        case None:
            return None
        case RunImmediately() | RunLater() as timing:
            fire = one_time_fire(timing, state)
            return (
                fire if fire > state.fired_through and not has_run_at(timing, state, fire) else None
            )
        case Schedule(rule=rule):
            return next_pending(rule, state)
        case _:
            assert_never(request.timing)


def one_time_fire(timing: RunImmediately | RunLater, state: RequestState) -> datetime:
    """Return the only fire time of a one-time request in its present generation."""
    if isinstance(timing, RunImmediately):
        return state.since
    return timing.start if state.counted_from is None else max(timing.start, state.counted_from)


def has_run_at(timing: RunImmediately | RunLater, state: RequestState, fire: datetime) -> bool:
    """Return whether the fire of a one-time request was claimed before the clock went back.

    Only a run-later's `start` can be: first sight and Reschedule always set a new instant.
    """
    return isinstance(timing, RunLater) and fire == timing.start and fire in state.claimed


def due_at(request: Outline, state: RequestState, held: Held = NOT_HELD) -> datetime | None:
    """Return when the loop must settle a request next: its pending fire plus its spread.

    A pause (`held`) puts this off until it ends. None if the request is not scheduled, has no
    fire left, or is paused without an end.
    """
    if (
        state.status is not RequestStatus.SCHEDULED
        or held.until >= END
        or (fire := pending_fire(request, state)) is None
    ):
        return None
    return max(fire + delay_of(request), held.until)


def settle(
    request: Outline,
    state: RequestState,
    now: datetime,
    *,
    awaited_from: datetime | None = None,
    held: Held = NOT_HELD,
) -> Settlement:
    """Give every fire that is due at `now` its verdict. The last fire completes the request.

    `awaited_from` is when the runner started, or when the clock last went forward; None if the
    runner has waited for every due fire. It matters only after the clock went back. During a
    pause (`held`) no fire gets a verdict, not even one that was due before.
    """
    if (due := due_at(request, state, held)) is None or due > now:
        return Settlement(state=state)
    match request.timing:
        case RunImmediately() | RunLater() as timing:
            settled = _settle_one_time(timing, state, now, held)
        case Schedule() as timing:
            delay = delay_of(request)
            settled = _settle_schedule(
                timing,
                state,
                now - delay,
                awaited_from and awaited_from - delay,
                held.earlier(delay),
            )
        case _:
            raise AssertionError("a request without timing is never due")
    if pending_fire(request, settled.state) is None:
        complete = evolved(settled.state, status=after(settled.state.status, RequestEvent.EXHAUST))
        return replace(settled, state=complete)
    return settled


def with_verdict_through(
    state: RequestState,
    fired_through: datetime,
    verdict: datetime,
    *,
    claimed: ClaimedSpans | None = None,
) -> RequestState:
    """Return the state with a new watermark, and with a verdict for fires up to `verdict`.

    `claimed` replaces the claimed spans, if given.
    """
    furthest = max(state.furthest_verdict or verdict, verdict)
    claimed = state.claimed if claimed is None else claimed
    return evolved(state, fired_through=fired_through, furthest_verdict=furthest, claimed=claimed)


def _settle_one_time(
    timing: RunImmediately | RunLater, state: RequestState, now: datetime, held: Held
) -> Settlement:
    fire = one_time_fire(timing, state)
    if isinstance(timing, RunImmediately):
        return _claiming_once(replace(state, ran_immediately=True), fire)
    # A one-time fire waits for the end of a pause. Then it is on time.
    if now - held.released_at(fire) <= timing.misfire_grace:
        return _claiming_once(state, fire)
    if had_verdict(state, fire):
        return Settlement(state=with_verdict_through(state, fire, fire))
    if timing.misfire is Misfire.FIRE_ALL:
        return _claiming_once(state, fire)
    miss = Miss(count=1, first=fire, last=fire)
    if timing.misfire is Misfire.SKIP:
        return Settlement(state=with_verdict_through(state, fire, fire), misses=(miss,))
    return replace(_claiming_once(state, fire), misses=(miss,))


def _claiming_once(state: RequestState, fire: datetime) -> Settlement:
    claimed = state.claimed.with_span(fire, fire)
    return Settlement(
        state=with_verdict_through(state, fire, fire, claimed=claimed), claims=(fire,)
    )


def had_verdict(state: RequestState, fire: datetime) -> bool:
    """Return whether a fire had its verdict before the clock went back."""
    return state.furthest_verdict is not None and fire <= state.furthest_verdict


def _settle_schedule(
    timing: Schedule,
    state: RequestState,
    until: datetime,
    awaited_from: datetime | None,
    held: Held,
) -> Settlement:
    """Settle the fires up to `until`. All instants are less the spread."""
    # Keep one missed fire more than can run: it is the last one that is only recorded. The
    # second extra place is for the fire on time.
    keep = CATCH_UP_LIMIT + 2 if timing.misfire is Misfire.FIRE_ALL else 2
    due = due_fires(timing, state, until, keep=keep, awaited_from=awaited_from, held=held)
    missed = due.missed.latest
    caught_up, recorded = _catch_up(
        timing.misfire, missed, count=due.missed.count, is_another_run=bool(due.on_time)
    )
    misses: tuple[Miss, ...] = ()
    if recorded and due.missed.first is not None:
        last = _last_recorded(timing.misfire, missed)
        miss = Miss(count=recorded, first=due.missed.first, last=last)
        misses = _by_cause(timing.rule, state, held, miss)
    claims = caught_up + due.on_time
    claimed = claimed_with(timing.rule, state, due.missed.first or due.newest, claims)
    settled = with_verdict_through(state, due.newest, due.newest, claimed=claimed)
    return Settlement(state=settled, claims=claims, misses=misses)


def _by_cause(rule: Rule, state: RequestState, held: Held, whole: Miss) -> tuple[Miss, ...]:
    """Split a span of fires that did not run where a pause held some of them."""
    if held.until <= whole.first:
        return (whole,)
    parts: list[Miss] = []
    for found, is_paused in parts_without_verdict(rule, state, held, whole.last):
        if (part := miss_of(found)) is None:
            continue
        if parts and parts[-1].is_paused == is_paused:
            former = parts.pop()
            part = replace(part, count=former.count + part.count, first=former.first)
        parts.append(replace(part, is_paused=is_paused))
    return tuple(parts)


def miss_of(span: Span) -> Miss | None:
    """Return a summary of fires as a miss; None without a fire."""
    return (
        None
        if span.first is None
        else Miss(count=span.count, first=span.first, last=span.latest[-1])
    )


def _catch_up(
    misfire: Misfire, missed: tuple[datetime, ...], *, count: int, is_another_run: bool
) -> tuple[tuple[datetime, ...], int]:
    """Return which of the missed fires run, and how many fires the record counts.

    `is_another_run`: a later fire of the request runs in the same turn. For `fire_once`,
    that run is the catch-up.
    """
    match misfire:
        case Misfire.SKIP:
            return (), count
        case Misfire.FIRE_ONCE:
            return () if is_another_run else missed[-1:], count
        case Misfire.FIRE_ALL:
            run = missed[-CATCH_UP_LIMIT:]
            return run, count - len(run)
        case _:
            assert_never(misfire)


def _last_recorded(misfire: Misfire, missed: tuple[datetime, ...]) -> datetime:
    return missed[-CATCH_UP_LIMIT - 1] if misfire is Misfire.FIRE_ALL else missed[-1]


def delay_of(request: Outline) -> timedelta:
    """Return the delay that a request's spread adds to each of its fires."""
    timing = request.timing
    if isinstance(timing, Schedule) and timing.spread:
        return spread_offset(request.name, timing.spread)
    return _NO_DELAY
