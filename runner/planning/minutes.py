"""How many executions start in each minute of a span, by arithmetic where fires are regular. Pure.

Every n seconds means: of each 60/gcd(n, 60) successive fires the first ones lie a whole number of minutes apart, and so
do the second ones, and so on. Each such row of minutes, `start, start + stride, start + 2 * stride, …`, costs two
additions, however long it is: one where it begins and one where it has ended, in a list of differences that is summed
up with that stride once, at the end.
"""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from math import gcd

from runner.planning.trains import Train, Trains

MINUTE = 60_000_000
_SHORT = 64
"""Rows up to this length are added minute by minute: so only the strides of longer ones, a few, need a list."""


class Minutes:
    """Counts starts a minute, from `origin` (microseconds, at a whole minute) on, for `length` minutes."""

    def __init__(self, origin: int, length: int) -> None:
        self._origin = origin
        self._counts = [0] * length
        self._differences: dict[int, list[int]] = {}
        self._waiting: Counter[tuple[int, int]] = Counter()
        self._trains: dict[int, tuple[Trains, bool]] = {}

    def add(self, trains: Trains, delay: int) -> None:
        """Count the starts of trains that are all delayed by so much. All must lie inside."""
        known = self._trains.get(id(trains))
        if known is None:
            known = self._trains[id(trains)] = trains, all(map(_is_at_whole_minutes, trains))
        # Then the seconds of the delay make no difference, and requests of one rule fall together.
        self._waiting[id(trains), delay - delay % MINUTE if known[1] else delay] += 1

    def counts(self) -> list[int]:
        """Return the starts of each minute. Ends the counting."""
        for (identity, delay), times in self._waiting.items():
            for train in self._trains[identity][0]:
                self._add(train, delay, times)
        for stride, differences in self._differences.items():
            self._sum_up(stride, differences)
        return self._counts

    def _add(self, train: Train, delay: int, times: int) -> None:
        if not isinstance(train, range):
            counts, begin = self._counts, delay - self._origin
            for fire in train:
                counts[(fire + begin) // MINUTE] += times
            return
        common = gcd(train.step, MINUTE)
        rows = MINUTE // common
        for first in range(min(rows, len(train))):
            minute = (train[first] + delay - self._origin) // MINUTE
            self._add_row(minute, train.step // common, -((first - len(train)) // rows), times)

    def _add_row(self, minute: int, stride: int, length: int, times: int) -> None:
        """Add `times` at so many minutes, a stride apart."""
        if length <= _SHORT:
            for each in range(minute, minute + length * stride, stride):
                self._counts[each] += times
            return
        differences = self._differences.setdefault(stride, [0] * len(self._counts))
        differences[minute] += times
        if (end := minute + length * stride) < len(differences):
            differences[end] -= times

    def _sum_up(self, stride: int, differences: list[int]) -> None:
        counts = self._counts
        for phase in range(min(stride, len(counts))):
            summed = accumulate(differences[phase::stride])
            counts[phase::stride] = map(int.__add__, counts[phase::stride], summed)


def _is_at_whole_minutes(train: Train) -> bool:
    if isinstance(train, range):
        return train.start % MINUTE == 0 and train.step % MINUTE == 0
    return all(fire % MINUTE == 0 for fire in train)
