"""The claimed fire times of one request, as spans. Pure.

They prevent a second run of a fire after the clock went back. Example: an hourly request
ran at 10:00, 11:00 and 12:00. Its claimed fires are one span, 10:00 to 12:00. Then the clock
goes back to 10:30, and 11:00 comes a second time. It lies inside the span, so it does not
run again. The next fire is the first one outside of all spans, 13:00.

A second span begins after a fire that was not claimed: it was missed, or the request was
unscheduled, or the rule was another one. Consecutive fires extend the newest span. A request
therefore needs only a few instants of memory, however often it fired, and one comparison
per fire.

At most `MOST_SPANS` spans are kept. Beyond that, the oldest kept span is extended to the
beginning of time: a fire may then count as claimed that never ran, but none runs twice.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from runner.timing.zones import TICK
from runner.values import EPOCH, from_microseconds, to_microseconds

MOST_SPANS = 32
"""How many spans a request keeps. Beyond that, everything older counts as claimed."""

# Earlier than every fire time. Years start at 1970, and a UTC offset in a file can move an
# instant some hours before that.
_DAWN = EPOCH - timedelta(days=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedSpans:
    """Spans of claimed fire times, ascending and disjoint, both ends included.

    `bounds` is flat: first, last, first, last, … Every fire of the request's rule between
    the first and the last of a span is claimed. After spans were dropped, the oldest kept
    one begins before all fires.

    >>> noon = datetime.fromisoformat("2026-03-01T12:00:00Z")
    >>> spans = NOTHING_CLAIMED.with_span(noon, noon + timedelta(hours=2))
    >>> noon + timedelta(hours=1) in spans, noon + timedelta(hours=3) in spans
    (True, False)
    """

    bounds: tuple[datetime, ...] = ()

    def __contains__(self, instant: datetime) -> bool:
        # Even indexes of `bounds` begin a span, odd ones end it. An odd insertion point is
        # therefore inside a span (or at its end).
        index = bisect_left(self.bounds, instant)
        return index % 2 == 1 or (index < len(self.bounds) and self.bounds[index] == instant)

    @property
    def last(self) -> datetime | None:
        """The latest claimed fire time; None if nothing was claimed."""
        return self.bounds[-1] if self.bounds else None

    def reaches_beyond(self, instant: datetime) -> bool:
        """Return whether a later fire time is claimed. Only a step back of the clock does that."""
        return bool(self.bounds) and self.bounds[-1] > instant

    def last_until(self, instant: datetime) -> datetime | None:
        """Return the end of the latest span that begins by `instant`; None without one."""
        index = bisect_right(self.bounds, instant)
        return self.bounds[index - 1 + index % 2] if index else None

    def first_after(self, instant: datetime) -> datetime | None:
        """Return the beginning of the first span that begins after `instant`; None without one."""
        index = bisect_right(self.bounds, instant)
        index += index % 2
        return self.bounds[index] if index < len(self.bounds) else None

    def gaps(self, after: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield the parts (begin, end] of (after, until] without a claimed fire time, ascending."""
        for first, last in self._spans():
            if first > until:
                break
            if last <= after:
                continue
            if first - TICK > after:
                yield after, first - TICK
            after = last
        if after < until:
            yield after, until

    def extended(self, last: datetime) -> ClaimedSpans:
        """Return the spans with the newest one extended to `last`."""
        return ClaimedSpans(bounds=(*self.bounds[:-1], last))

    def with_span(self, first: datetime, last: datetime) -> ClaimedSpans:
        """Return the spans with one more, merged with the spans that it overlaps or touches."""
        # An odd index lies inside an existing span: its bound replaces the new one.
        begin, end = bisect_left(self.bounds, first), bisect_right(self.bounds, last)
        lower = () if begin % 2 else (first,)
        upper = () if end % 2 else (last,)
        return _bounded((*self.bounds[:begin], *lower, *upper, *self.bounds[end:]))

    def _spans(self) -> Iterable[tuple[datetime, datetime]]:
        return zip(self.bounds[::2], self.bounds[1::2], strict=True)


NOTHING_CLAIMED = ClaimedSpans()


def spans_from(numbers: Iterable[int]) -> ClaimedSpans:
    """Read the output of `numbers_of`."""
    return ClaimedSpans(bounds=tuple(map(from_microseconds, numbers)))


def numbers_of(spans: ClaimedSpans) -> list[int]:
    """Return the bounds in microseconds since 1970-01-01T00:00Z, for the store."""
    return list(map(to_microseconds, spans.bounds))


def _bounded(bounds: tuple[datetime, ...]) -> ClaimedSpans:
    """Keep the newest spans. If any is dropped, the oldest kept one covers all before it."""
    assert all(earlier <= later for earlier, later in pairwise(bounds)), "spans ascend"
    kept = bounds[-2 * MOST_SPANS :]
    return ClaimedSpans(bounds=bounds if kept == bounds else (_DAWN, *kept[1:]))
