"""Find the due fires of a schedule, and sort them into on time and missed. Pure.

The watermark is `fired_through`. Normally every fire after it is new, and every claimed
fire lies at or before it:

    fires      x   x   x   x   x   x   x
    claimed    [-------]
    watermark          ^               ^ now: the last four fires are due

After the clock went back, the watermark lies before fires that were claimed or had a
verdict. The state is then *reopened*:

    fires      x   x   x   x   x   x   x
    claimed    [-------]   [---]
    watermark    ^ now             ^ `furthest_verdict`

In a reopened state, a fire ahead is one of three kinds. A claimed fire does not run again,
except by a rule that measures passing time. A fire in a gap between the claimed spans, up to
`furthest_verdict`, was missed: it may still run on time, but it is never recorded as missed
again. A later fire is new. So the functions here look at each gap separately.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from runner.planning.states.claimed_spans import ClaimedSpans
from runner.planning.states.pauses import NOT_HELD, Held
from runner.planning.states.state import RequestState
from runner.requests.model import Schedule
from runner.timing.passing_time import measures_passing_time
from runner.timing.rules import Rule
from runner.timing.upcoming import Span, fires, next_fire, span
from runner.timing.zones import END, TICK


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """The due fires of a schedule.

    `on_time` holds the fire to run now, or nothing. `missed` summarises the earlier fires
    without a verdict. `newest` is the latest due fire; the watermark moves there.
    """

    on_time: tuple[datetime, ...]
    missed: Span
    newest: datetime


def unclaimed_fires(rule: Rule, state: RequestState, after: datetime) -> Iterator[datetime]:
    """Yield the fires later than `after` that were never claimed, ascending."""
    for begin, end in state.claimed.gaps(after, END):
        for fire in fires(rule, begin, counted_from=state.counted_from):
            if fire > end:
                break
            yield fire


def coming(rule: Rule, state: RequestState, after: datetime) -> Iterator[datetime]:
    """Yield the fires later than `after` that can still fire, ascending.

    A claimed fire time counts only for a rule that measures passing time.
    """
    if measures_passing_time(rule.pattern) or not state.claimed.reaches_beyond(after):
        return fires(rule, after, counted_from=state.counted_from)
    return unclaimed_fires(rule, state, after)


def next_pending(rule: Rule, state: RequestState) -> datetime | None:
    """Return the first fire that can still fire after the watermark."""
    if state.is_reopened:
        return next(coming(rule, state, state.fired_through), None)
    return next_fire(rule, state.fired_through, counted_from=state.counted_from)


def without_verdict(rule: Rule, state: RequestState, until: datetime, *, keep: int = 1) -> Span:
    """Summarise the fires in (watermark, until] without a claim or a verdict."""
    if not state.is_reopened:
        return span(rule, state.fired_through, until, keep=keep, counted_from=state.counted_from)
    begin = max(state.fired_through, state.furthest_verdict or state.fired_through)
    gaps = state.claimed.gaps(begin, until)
    parts = [span(rule, *gap, keep=keep, counted_from=state.counted_from) for gap in gaps]
    latest = tuple(fire for part in parts for fire in part.latest)
    first = next((part.first for part in parts if part.first is not None), None)
    return Span(count=sum(part.count for part in parts), first=first, latest=latest[-keep:])


def due_fires(
    timing: Schedule,
    state: RequestState,
    until: datetime,
    *,
    keep: int,
    awaited_from: datetime | None,
    held: Held = NOT_HELD,
) -> Due:
    """Return the fires that are due at `until`. The caller knows that at least one is due.

    `until` is the present minus the spread. `missed.latest` holds the last `keep` fires
    without the one on time. `awaited_from` (also minus the spread) is when the runner
    started, or when the clock last went forward: earlier fires fell due while the runner
    was not waiting. None means that the runner waited for every fire. A fire that `held`
    covers is not on time.
    """
    rule = timing.rule
    found = without_verdict(rule, state, until, keep=keep)
    if state.is_reopened:
        newest = span(rule, state.fired_through, until, counted_from=state.counted_from).latest[-1]
        on_time = _on_time_again(timing, state, until, newest, awaited_from)
    else:
        newest = found.latest[-1]
        on_time = (newest,) if until - newest <= timing.misfire_grace else ()
    on_time = tuple(fire for fire in on_time if not held.covers(fire))
    if on_time and found.latest[-1:] == on_time:
        is_only = found.count == 1
        found = Span(
            count=found.count - 1, first=None if is_only else found.first, latest=found.latest[:-1]
        )
    return Due(on_time=on_time, missed=found, newest=newest)


def parts_without_verdict(
    rule: Rule, state: RequestState, held: Held, until: datetime
) -> Iterator[tuple[Span, bool]]:
    """Summarise the fires in (watermark, until] without a claim or a verdict, part by part.

    A part ends where a pause begins or ends. The second value says whether the pause held
    its fires.
    """
    for (begin, end), is_paused in held.parts:
        if begin <= until and end > state.fired_through:
            after = max(state.fired_through, begin - TICK)
            before = replace(state, fired_through=after)
            yield without_verdict(rule, before, min(end - TICK, until)), is_paused


def claimed_with(
    rule: Rule, state: RequestState, first_due: datetime | None, claims: tuple[datetime, ...]
) -> ClaimedSpans:
    """Return the claimed spans with more claims. Consecutive fires of the rule form one span.

    `first_due` is the first fire after the watermark. In the usual case it is also the
    first claim, and extends the newest span without evaluating the rule.
    """
    claimed = state.claimed
    if not claims:
        return claimed
    if not state.is_reopened:
        if claimed.last == state.fired_through and claims[0] == first_due:
            return claimed.extended(claims[-1])
        return _joined(rule, state.counted_from, claimed, claims[0], claims[-1])
    for claim in claims:
        claimed = _joined(rule, state.counted_from, claimed, claim, claim)
    return claimed


def _on_time_again(
    timing: Schedule,
    state: RequestState,
    until: datetime,
    newest: datetime,
    awaited_from: datetime | None,
) -> tuple[datetime, ...]:
    """Return, in a tuple, the latest fire within grace that may fire in a reopened span.

    A fire that had a verdict may fire on time, and a claimed one only by a rule that
    measures passing time, while the runner waits for it.
    """
    rule = timing.rule
    if measures_passing_time(rule.pattern):
        was_awaited = awaited_from is None or newest > awaited_from
        may_fire = was_awaited or newest not in state.claimed
        return (newest,) if may_fire and until - newest <= timing.misfire_grace else ()
    begin = max(state.fired_through, until - timing.misfire_grace - TICK)
    for gap in reversed(list(state.claimed.gaps(begin, until))):
        if latest := span(rule, *gap, counted_from=state.counted_from).latest:
            return latest
    return ()


def _joined(
    rule: Rule,
    counted_from: datetime | None,
    claimed: ClaimedSpans,
    first: datetime,
    last: datetime,
) -> ClaimedSpans:
    """Add a span; merge it with a neighbour if no fire of the rule lies between them."""
    before, behind = claimed.last_until(first), claimed.first_after(last)
    if before is not None and next_fire(rule, before, counted_from=counted_from) == first:
        first = before
    if behind is not None and next_fire(rule, last, counted_from=counted_from) == behind:
        last = behind
    return claimed.with_span(first, last)
