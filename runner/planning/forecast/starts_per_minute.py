"""Count the starts in each minute of a span, by arithmetic where fires are regular. Pure.

Take a fire every 90 seconds: 00:00:00, 00:01:30, 00:03:00, 00:04:30, … Every second fire
(60/gcd(90, 60) = 2) lies a whole number of minutes after the one before: the minutes 0, 3,
6, … and 1, 4, 7, … Each such sequence, `begin, begin + stride, …`, is a *row*.

A list of differences counts a row with two additions, however long it is: +1 where it
begins and -1 where it has ended. Summing the list up, with steps of the stride, gives the
counts of all rows of that stride at once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import accumulate
from math import gcd

from runner.planning.forecast.fire_sequences import MINUTE, FireSequence, FireSequences

_Row = tuple[int, int, int]
"""Its first minute, its length, how many times it counts."""


def starts_by_minute(
    sharing: Counter[tuple[FireSequences, int]], origin: int, length: int
) -> list[int]:
    """Count the starts in each of `length` minutes from `origin` on.

    `origin` is a whole minute, in microseconds. `sharing` counts how many requests have the
    same fires with the same delay. The caller knows that all starts lie inside.
    """
    counts = [0] * length
    rows: dict[int, list[_Row]] = defaultdict(list)
    for (fires, delay), times in sharing.items():
        for sequence in fires.sequences:
            if isinstance(sequence, range):
                _add_rows(sequence, delay - origin, times, rows)
            else:
                _add_each(sequence, delay - origin, times, counts)
    for stride, same in rows.items():
        _sum_up(stride, same, counts)
    return counts


def _add_each(sequence: FireSequence, offset: int, times: int, counts: list[int]) -> None:
    for fire in sequence:
        counts[(fire + offset) // MINUTE] += times


def _add_rows(sequence: range, offset: int, times: int, rows: dict[int, list[_Row]]) -> None:
    common = gcd(sequence.step, MINUTE)
    number = MINUTE // common
    same_stride = rows[sequence.step // common]
    for first in range(min(number, len(sequence))):
        same_stride.append(
            ((sequence[first] + offset) // MINUTE, len(sequence[first::number]), times)
        )


def _sum_up(stride: int, rows: Sequence[_Row], counts: list[int]) -> None:
    """Add all rows of one stride to `counts`.

    If the rows are short, adding each minute is less work than a pass over all minutes.
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
