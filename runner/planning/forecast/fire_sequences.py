"""The fires of a request in a span, as sequences of numbers. Pure.

A sequence holds ascending instants, in integer microseconds since 1970. That of an interval
is a `range`: storing, counting and searching a million of its fires costs as little as one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, pairwise, takewhile

from runner.planning.coming_fires import coming_fires
from runner.planning.fires.due_fires import coming
from runner.planning.fires.firing import delay_of
from runner.planning.states.pauses import NOT_HELD, Held
from runner.planning.states.state import RequestState
from runner.requests.model import Outline, Schedule
from runner.timing.passing_time import measures_passing_time
from runner.timing.rules import Cron, Interval, Rule
from runner.timing.upcoming import fires, span
from runner.timing.zones import TICK, stretches_of, wall_at, zone_named
from runner.values import to_microseconds

SECOND = 1_000_000
MINUTE = 60 * SECOND
_DAY = timedelta(days=1)

FireSequence = Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FireSequences:
    """All fires of a span, one sequence after another.

    Requests with the same rule share one object, and equality means identity.
    `shortest_gap` is the least time between two successive fires; None if there are fewer
    than two fires.
    """

    sequences: tuple[FireSequence, ...]
    count: int
    shortest_gap: int | None
    is_at_whole_minutes: bool

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self.sequences)

    def between(self, begin: int, end: int) -> int:
        """Count the fires in [begin, end)."""
        return sum(bisect_left(each, end) - bisect_left(each, begin) for each in self.sequences)

    def within(self, begin: int, end: int) -> Iterator[int]:
        """Yield the fires in [begin, end)."""
        for each in self.sequences:
            yield from each[bisect_left(each, begin) : bisect_left(each, end)]


class Timetable:
    """Lists the fires of requests in [begin, end), once for each rule."""

    def __init__(self, begin: datetime, end: datetime) -> None:
        self.begin = begin
        self.end = end
        self._known: dict[tuple[Rule, datetime | None], FireSequences] = {}
        self._released: dict[tuple[FireSequences, Held], FireSequences] = {}

    def of(self, request: Outline, state: RequestState, held: Held = NOT_HELD) -> FireSequences:
        """Return the fires of a request; an unscheduled one has none.

        A simulation asks what would happen, so the fires of a schedule include settled ones
        and those of the past. It leaves out only the fires ahead that were claimed before
        the clock went back, and those that a pause holds. A one-time fire waits for the end
        of the pause.
        """
        timing = request.timing
        if not isinstance(timing, Schedule):
            pending = coming_fires(request, state, self.begin, held)
            once = (fire for each in pending if (fire := held.released_at(each)) < self.end)
            return _joined([tuple(map(to_microseconds, once))])
        if not state.is_wanted:
            return _joined(())
        key = (self._of_schedule(timing, state), held.earlier(delay_of(request)))
        if not held.spans:
            return key[0]
        if key not in self._released:
            self._released[key] = _without(*key)
        return self._released[key]

    def _of_schedule(self, timing: Schedule, state: RequestState) -> FireSequences:
        if state.is_reopened and not measures_passing_time(timing.rule.pattern):
            return self._reopened(timing.rule, state)
        key = (
            self._narrowed(timing.rule),
            None if timing.rule.repetitions is None else state.counted_from,
        )
        if key not in self._known:
            rule, counted_from = key
            self._known[key] = fires_in(rule, self.begin, self.end, counted_from=counted_from)
        return self._known[key]

    def _reopened(self, rule: Rule, state: RequestState) -> FireSequences:
        settled = fires(rule, self.begin - TICK, counted_from=state.counted_from)
        past = takewhile(lambda fire: fire <= state.fired_through, settled)
        ahead = coming(rule, state, max(state.fired_through, self.begin - TICK))
        walked = takewhile(lambda fire: fire < self.end, chain(past, ahead))
        return _joined([tuple(map(to_microseconds, walked))])

    def _narrowed(self, rule: Rule) -> Rule:
        """Remove the bounds of a rule that do not matter here, so that more requests share."""
        if rule.finish is not None and rule.finish >= self.end:
            rule = replace(rule, finish=None)
        is_only_bound = isinstance(rule.pattern, Cron) and rule.repetitions is None
        if is_only_bound and rule.start is not None and rule.start <= self.begin:
            rule = replace(rule, start=None)
        return rule


def fires_in(
    rule: Rule, begin: datetime, end: datetime, *, counted_from: datetime | None = None
) -> FireSequences:
    """Return the fires of a rule in [begin, end).

    Excepted dates cut the fires of an interval into several sequences.
    """
    if isinstance(rule.pattern, Interval) and rule.only is None and not rule.moves:
        return _joined(_of_interval(rule, rule.pattern, begin, end, counted_from))
    walked = takewhile(
        lambda fire: fire < end, fires(rule, begin - TICK, counted_from=counted_from)
    )
    return _joined([tuple(map(to_microseconds, walked))])


def _joined(found: Iterable[FireSequence]) -> FireSequences:
    sequences = tuple(filter(len, found))
    gaps = [_shortest_gap(each) for each in sequences if len(each) > 1]
    gaps += [later[0] - earlier[-1] for earlier, later in pairwise(sequences)]
    return FireSequences(
        sequences=sequences,
        count=sum(map(len, sequences)),
        shortest_gap=min(gaps, default=None),
        is_at_whole_minutes=all(map(_is_at_whole_minutes, sequences)),
    )


def _without(found: FireSequences, held: Held) -> FireSequences:
    """Return the fires that no pause holds."""
    sequences: Iterable[FireSequence] = found.sequences
    for begin, end in held.spans:
        sequences = tuple(_cut(sequences, to_microseconds(begin), to_microseconds(end)))
    return _joined(sequences)


def _cut(sequences: Iterable[FireSequence], begin: int, end: int) -> Iterator[FireSequence]:
    for each in sequences:
        yield each[: bisect_left(each, begin)]
        yield each[bisect_left(each, end) :]


def _shortest_gap(sequence: FireSequence) -> int:
    if isinstance(sequence, range):
        return sequence.step
    return min(later - earlier for earlier, later in pairwise(sequence))


def _is_at_whole_minutes(sequence: FireSequence) -> bool:
    if isinstance(sequence, range):
        return sequence.start % MINUTE == 0 and sequence.step % MINUTE == 0
    return all(fire % MINUTE == 0 for fire in sequence)


def _of_interval(
    rule: Rule, pattern: Interval, begin: datetime, end: datetime, counted_from: datetime | None
) -> Iterator[range]:
    found = span(rule, begin - TICK, end - TICK, counted_from=counted_from)
    if found.first is None:
        return
    left = range(
        to_microseconds(found.first),
        to_microseconds(found.latest[-1]) + 1,
        pattern.seconds * SECOND,
    )
    for since, until in _excepted(rule, begin, end):
        yield left[: _place(left, since)]
        left = left[_place(left, until) :]
    yield left


def _excepted(rule: Rule, begin: datetime, end: datetime) -> Iterator[tuple[int, int]]:
    """Yield the stretches of time that a rule excepts in or around a span, ascending."""
    if not rule.excepted:
        return
    zone = zone_named(rule.zone)
    first, last = wall_at(begin, zone).date() - _DAY, wall_at(end, zone).date() + _DAY
    days = rule.excepted.within(first, last)
    for since, until in sorted(stretch for day in days for stretch in stretches_of(day, zone)):
        yield to_microseconds(since), to_microseconds(until)


def _place(sequence: range, at: int) -> int:
    """Return the index of the first fire at or after `at`; the length if there is none.

    >>> _place(range(10, 100, 10), 25)
    2
    """
    return min(len(sequence), max(0, -((sequence.start - at) // sequence.step)))


def overlapping(fires: FireSequences, duration: int) -> int:
    """Count the fires that come less than `duration` after the previous fire."""
    if fires.shortest_gap is None or fires.shortest_gap >= duration:
        return 0
    count = sum(later[0] - earlier[-1] < duration for earlier, later in pairwise(fires.sequences))
    for sequence in fires.sequences:
        if isinstance(sequence, range):
            count += (len(sequence) - 1) * (sequence.step < duration)
        else:
            count += sum(later - earlier < duration for earlier, later in pairwise(sequence))
    return count


def skipped(fires: FireSequences, duration: int) -> int:
    """Count the fires that are skipped if no execution may overlap the previous one.

    Each execution takes `duration`.
    """
    if fires.shortest_gap is None or fires.shortest_gap >= duration:
        return 0
    count, free_from = 0, fires.sequences[0][0]
    for sequence in fires.sequences:
        admitted = _admitted(sequence, free_from, duration)
        if admitted:
            free_from = admitted[-1] + duration
        count += len(sequence) - len(admitted)
    return count


def _admitted(sequence: FireSequence, free_from: int, duration: int) -> FireSequence:
    if isinstance(sequence, range):
        return sequence[_place(sequence, free_from) :: max(1, -(-duration // sequence.step))]
    admitted = []
    for fire in sequence:
        if fire >= free_from:
            admitted.append(fire)
            free_from = fire + duration
    return admitted
