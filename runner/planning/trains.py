"""The fires of a request in a span, as trains: ascending sequences of integer microseconds since 1970. Pure.

An interval's train is a `range`: a million fires of it cost as little as one, to keep, to count and to look into.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise, takewhile

from runner.planning.state import RequestState
from runner.planning.views import coming_fires
from runner.requests.model import ProcessRequest, Schedule
from runner.timing.rules import Interval, Rule
from runner.timing.upcoming import fires, span
from runner.timing.zones import TICK, stretches_of, wall_at, zone_named
from runner.values import to_microseconds

Train = Sequence[int]
Trains = tuple[Train, ...]
_SECOND = 1_000_000
_DAY = timedelta(days=1)


class Timetable:
    """Makes the trains of requests in [begin, end), each rule's once: requests of one rule share them."""

    def __init__(self, begin: datetime, end: datetime) -> None:
        self.begin = begin
        self.end = end
        self._known: dict[tuple[Rule, datetime | None], Trains] = {}

    def trains(self, request: ProcessRequest, state: RequestState) -> Trains:
        """Return when a request fires, one train after another; none if it is unscheduled.

        A schedule fires by its rule, also before now and whatever has been settled: it is asked what would be.
        """
        timing = request.timing
        if not isinstance(timing, Schedule):
            found = tuple(fire for fire in coming_fires(request, state, self.begin) if fire < self.end)
            return (tuple(map(to_microseconds, found)),) if found else ()
        if not state.is_wanted:
            return ()
        counted_from = None if timing.rule.repetitions is None else state.counted_from
        key = timing.rule, counted_from
        if key not in self._known:
            self._known[key] = trains_of(timing.rule, self.begin, self.end, counted_from=counted_from)
        return self._known[key]


def trains_of(rule: Rule, begin: datetime, end: datetime, *, counted_from: datetime | None = None) -> Trains:
    """Return the fires of a rule in [begin, end); what is excepted cuts the train of an interval in two."""
    if isinstance(rule.pattern, Interval):
        return tuple(_of_interval(rule, rule.pattern, begin, end, counted_from))
    walked = takewhile(lambda fire: fire < end, fires(rule, begin - TICK, counted_from=counted_from))
    train = tuple(map(to_microseconds, walked))
    return (train,) if train else ()


def _of_interval(
    rule: Rule, pattern: Interval, begin: datetime, end: datetime, counted_from: datetime | None
) -> Iterator[range]:
    found = span(rule, begin - TICK, end - TICK, counted_from=counted_from)
    if found.first is None:
        return
    left = range(to_microseconds(found.first), to_microseconds(found.latest[-1]) + 1, pattern.seconds * _SECOND)
    for since, until in _excepted(rule, begin, end):
        before = left[: place(left, since)]
        left = left[place(left, until) :]
        if before:
            yield before
    if left:
        yield left


def _excepted(rule: Rule, begin: datetime, end: datetime) -> Iterator[tuple[int, int]]:
    """Yield the stretches of time, ascending, that a rule excepts in or around a span."""
    if not rule.excepted:
        return
    zone = zone_named(rule.zone)
    first, last = wall_at(begin, zone).date() - _DAY, wall_at(end, zone).date() + _DAY
    days = (day for day in rule.excepted if first <= day <= last)
    for since, until in sorted(stretch for day in days for stretch in stretches_of(day, zone)):
        yield to_microseconds(since), to_microseconds(until)


def place(train: range, at: int) -> int:
    """Return the index of the first fire of a range that is not before `at`; its length if there is none.

    >>> place(range(10, 100, 10), 25)
    2
    """
    return min(len(train), max(0, -((train.start - at) // train.step)))


def shortest_gap(trains: Trains) -> int | None:
    """Return the shortest time between two successive fires; None if there are no two."""
    gaps = [train.step if isinstance(train, range) else _closest(train) for train in trains if len(train) > 1]
    gaps += [later[0] - earlier[-1] for earlier, later in pairwise(trains)]
    return min(gaps, default=None)


def _closest(train: Train) -> int:
    return min(later - earlier for earlier, later in pairwise(train))


def overlapping(trains: Trains, duration: int) -> int:
    """Count the fires that come while the run of the one before, which takes `duration`, would still go on."""
    count = sum(later[0] - earlier[-1] < duration for earlier, later in pairwise(trains))
    for train in trains:
        if isinstance(train, range):
            count += (len(train) - 1) * (train.step < duration)
        else:
            count += sum(later - earlier < duration for earlier, later in pairwise(train))
    return count


def refused(trains: Trains, duration: int) -> int:
    """Count the fires that are refused if none may start while a run, which takes `duration`, goes on."""
    count, free_from = 0, -1
    for train in trains:
        admitted = _admitted(train, free_from, duration)
        if admitted:
            free_from = admitted[-1] + duration
        count += len(train) - len(admitted)
    return count


def _admitted(train: Train, free_from: int, duration: int) -> Train:
    if isinstance(train, range):
        return train[place(train, free_from) :: max(1, -(-duration // train.step))]
    admitted = []
    for fire in train:
        if fire >= free_from:
            admitted.append(fire)
            free_from = fire + duration
    return admitted
