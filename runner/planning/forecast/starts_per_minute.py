"""How many executions start in each minute of a span, by arithmetic where fires are regular. Pure.

Every n seconds means: of each 60/gcd(n, 60) successive fires the first ones lie a whole
number of minutes apart, and so do the second ones, and so on. A row of minutes like
that, `begin, begin + stride, …`, costs two additions, however long it is: one where it
begins and one where it has ended, in a list of differences that is summed up with that
stride once for all rows of the stride.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import accumulate
from math import gcd

from runner.planning.forecast.fire_sequences import MINUTE, Train, Trains

_Row = tuple[int, int, int]
"""The minute of its begin, its length, how often it counts."""


def starts_by_minute(
    departures: Counter[tuple[Trains, int]], origin: int, length: int
) -> list[int]:
    """Count the starts in each of `length` minutes from `origin` on, which is a whole
    minute in microseconds.

    `departures` are trains with the delay of all their fires, and how many requests
    have these; all of their starts lie inside.
    """
    counts = [0] * length
    rows: dict[int, list[_Row]] = defaultdict(list)
    for (trains, delay), times in departures.items():
        for train in trains.trains:
            if isinstance(train, range):
                _add_rows(train, delay - origin, times, rows)
            else:
                _add_each(train, delay - origin, times, counts)
    for stride, same in rows.items():
        _sum_up(stride, same, counts)
    return counts


def _add_each(train: Train, offset: int, times: int, counts: list[int]) -> None:
    for fire in train:
        counts[(fire + offset) // MINUTE] += times


def _add_rows(train: range, offset: int, times: int, rows: dict[int, list[_Row]]) -> None:
    common = gcd(train.step, MINUTE)
    number = MINUTE // common
    same_stride = rows[train.step // common]
    for first in range(min(number, len(train))):
        same_stride.append(((train[first] + offset) // MINUTE, len(train[first::number]), times))


def _sum_up(stride: int, rows: Sequence[_Row], counts: list[int]) -> None:
    """Add the rows of a stride, one minute after the other if that is less work than
    one pass over all.
    """
    if sum(length for _, length, _ in rows) <= len(counts):
        for begin, length, times in rows:
            for minute in range(begin, begin + length * stride, stride):
                counts[minute] += times
        return
    differences = [0] * len(counts)
    for begin, length, times in rows:
        differences[begin] += times
        if (end := begin + length * stride) < len(differences):
            differences[end] -= times
    for phase in range(stride):
        summed = accumulate(differences[phase::stride])
        counts[phase::stride] = map(int.__add__, counts[phase::stride], summed)
