"""Claimed fire times as spans: no claim is forgotten, and memory is bounded."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from support.planning_world import NOON

from runner.planning.states.claimed_spans import (
    MOST_SPANS,
    NOTHING_CLAIMED,
    ClaimedSpans,
    numbers_of,
    spans_from,
)
from runner.values import EPOCH

TICK = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)


def at(minute: int) -> datetime:
    return NOON + minute * MINUTE


def spans(*pairs: tuple[int, int]) -> ClaimedSpans:
    found = NOTHING_CLAIMED
    for first, last in pairs:
        found = found.with_span(at(first), at(last))
    return found


def test_a_span_holds_all_from_its_first_to_its_last() -> None:
    claimed = spans((1, 3), (7, 7))
    assert [minute for minute in range(10) if at(minute) in claimed] == [1, 2, 3, 7]
    assert at(1) - TICK not in claimed
    assert at(3) + TICK not in claimed
    assert at(7) + TICK not in claimed


def test_spans_that_overlap_or_touch_are_one() -> None:
    assert spans((1, 3), (3, 5)) == spans((1, 5))
    assert spans((4, 5), (1, 4)) == spans((1, 5))
    assert spans((1, 2), (5, 6), (0, 9)) == spans((0, 9))
    assert spans((1, 9), (3, 4)) == spans((1, 9))
    assert spans((3, 3), (3, 3)) == spans((3, 3))


def test_gaps_are_the_parts_outside_every_span() -> None:
    claimed = spans((2, 4), (7, 7))
    assert list(claimed.gaps(at(0), at(9))) == [
        (at(0), at(2) - TICK),
        (at(4), at(7) - TICK),
        (at(7), at(9)),
    ]
    assert list(claimed.gaps(at(3), at(4))) == []
    assert list(claimed.gaps(at(3), at(6))) == [(at(4), at(6))]
    assert list(NOTHING_CLAIMED.gaps(at(0), at(1))) == [(at(0), at(1))]


def test_the_neighbours_of_an_instant_are_found() -> None:
    claimed = spans((2, 4), (7, 8))
    assert claimed.last_until(at(1)) is None
    assert claimed.last_until(at(3)) == at(4)
    assert claimed.last_until(at(6)) == at(4)
    assert claimed.first_after(at(3)) == at(7)
    assert claimed.first_after(at(1)) == at(2)
    assert claimed.first_after(at(7)) is None


def test_beyond_32_spans_everything_older_counts_as_claimed() -> None:
    claimed = spans(*((3 * number, 3 * number + 1) for number in range(MOST_SPANS)))
    assert at(2) not in claimed
    assert EPOCH not in claimed
    claimed = claimed.with_span(at(1000), at(1000))
    assert len(claimed.bounds) == 2 * MOST_SPANS == 64
    assert EPOCH in claimed
    assert at(2) in claimed
    assert at(4) in claimed
    assert at(5) not in claimed, "newer than the oldest span that is kept"
    assert list(claimed.gaps(EPOCH, at(6))) == [(at(4), at(6) - TICK)]


intervals = st.tuples(st.integers(0, 400), st.integers(0, 3)).map(
    lambda pair: (pair[0], pair[0] + pair[1])
)


@given(st.lists(intervals, max_size=60))
def test_no_claim_is_forgotten_and_memory_is_bounded(added: list[tuple[int, int]]) -> None:
    claimed, model = NOTHING_CLAIMED, set[int]()
    for first, last in added:
        claimed = claimed.with_span(at(first), at(last))
        model |= set(range(first, last + 1))
        assert len(claimed.bounds) <= 2 * MOST_SPANS
        assert all(earlier <= later for earlier, later in pairwise(claimed.bounds))
    held = {minute for minute in range(410) if at(minute) in claimed}
    assert held >= model
    oldest = min(held) if EPOCH in claimed else 0
    newer = {
        minute for minute in held if at(minute) > (claimed.bounds[1] if claimed.bounds else EPOCH)
    }
    assert newer <= model, "only what is older than the oldest kept span counts without a claim"
    in_gaps = {
        minute
        for begin, end in claimed.gaps(at(-1), at(410))
        for minute in range(410)
        if begin < at(minute) <= end
    }
    assert in_gaps == set(range(oldest, 410)) - held
    assert spans_from(numbers_of(claimed)) == claimed
