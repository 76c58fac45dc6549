"""The timeline: one lane a request, what ran and what comes. Pure.

A lane is as wide as the window has minutes, and the browser stretches it. Successes that
touch are one shape, so a lane of a request that runs each minute stays small.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from markupsafe import Markup

from runner.web.pages.drawing.svg import boxes, execution_path, number

HEIGHT = 16
_BACK, _AHEAD = timedelta(hours=20), timedelta(hours=4)
_NARROWEST = 2.5
"""Units (minutes) of the shortest bar: about two pixels on a usual screen."""
_MOST_LINKS = 40
_Y_AND_HEIGHT = {
    "ok": (4.0, 9.0),
    "running": (4.0, 9.0),
    "planned": (5.5, 6.0),
    "skipped": (6.0, 5.0),
    "missed": (3.0, 11.0),
}
_FULL = (1.0, 14.0)
_WORDS = {
    "ok": "success",
    "bad": "failing",
    "past": "failed, recovered",
    "missed": "missed",
    "killed": "killed",
    "skipped": "skipped",
    "running": "running",
    "planned": "to come",
}
_LINKED = frozenset({"bad", "past", "killed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The time that the timeline shows: [begin, end), with `now` inside."""

    begin: datetime
    end: datetime
    now: datetime

    @property
    def width(self) -> float:
        """The width in units: minutes."""
        return (self.end - self.begin) / timedelta(minutes=1)

    def x(self, instant: datetime) -> float:
        """Return the coordinate of an instant, cut to the window."""
        inside = min(max(instant, self.begin), self.end)
        return (inside - self.begin).total_seconds() / 60

    @property
    def ticks(self) -> list[tuple[float, datetime]]:
        """Every third hour, with its place from 0 to 1."""
        hours = range(0, round(self.width / 60), 3)
        return [(hour * 60 / self.width, self.begin + timedelta(hours=hour)) for hour in hours]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something in a lane. `execution` is None for what never ran or is to come."""

    kind: str
    """A class of `svg.kind_of`, or "past" (a failure that is over) or "planned"."""
    begin: datetime
    end: datetime
    execution: str | None = None
    words: str = ""


def window_at(now: datetime) -> Window:
    """Return the 24 hours around now: 20 back from its whole hour, 4 ahead."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    return Window(begin=hour - _BACK, end=hour + _AHEAD, now=now)


def settled(spans: Iterable[Span]) -> list[Span]:
    """Return spans by time; a failure before a success becomes "past": it needs nobody."""
    found: list[Span] = []
    is_over = False
    for span in sorted(spans, key=attrgetter("begin"), reverse=True):
        is_over = is_over or span.kind == "ok"
        found.append(replace(span, kind="past") if is_over and span.kind == "bad" else span)
    return found[::-1]


def lane(name: str, spans: Iterable[Span], window: Window) -> Markup:
    """Return one lane as SVG. Failures are links to their executions, with a tooltip."""
    ordered = settled(span for span in spans if span.end >= window.begin)
    bulk = sorted((each for each in ordered if each.kind not in _LINKED), key=attrgetter("kind"))
    paths = [
        boxes(kind, _shapes(kind, list(group), window))
        for kind, group in groupby(bulk, key=attrgetter("kind"))
    ]
    single = [each for each in ordered if each.kind in _LINKED]
    links = [_link(span, window) for span in single[-_MOST_LINKS:]]
    older = [span for span in single[:-_MOST_LINKS] if span.kind != "killed"]
    return Markup(
        '<svg class="lane-bars" viewBox="0 0 {width} {height}" preserveAspectRatio="none"'
        ' role="group" aria-label="{label}">{shapes}'
        '<path class="now" d="M{now} 0V{height}"/></svg>'
    ).format(
        width=number(window.width),
        height=HEIGHT,
        label=f"{name}: {_summary(ordered)}",
        shapes=Markup("").join([*paths, boxes("past", _shapes("past", older, window)), *links]),
        now=number(window.x(window.now)),
    )


def key(lanes: Iterable[Markup]) -> list[tuple[Markup, str]]:
    """Return a sample (12 by `HEIGHT`) and the words of each kind that is in the lanes."""
    drawn = "".join(lanes)
    shown = [kind for kind in _WORDS if f'class="{kind}"' in drawn]
    sizes = {kind: _Y_AND_HEIGHT.get(kind, _FULL) for kind in shown}
    return [(boxes(kind, [(1.0, y, 10.0, h)]), _WORDS[kind]) for kind, (y, h) in sizes.items()]


def _summary(spans: Sequence[Span]) -> str:
    """Return what a lane shows, for people who do not see it."""
    words = {"ok": "succeeded", "bad": "failing", "past": "failed and recovered"}
    words |= {"missed": "missed", "skipped": "skipped", "killed": "killed", "running": "running"}
    counts = ((word, sum(span.kind == kind for span in spans)) for kind, word in words.items())
    return ", ".join(f"{count} {word}" for word, count in counts if count) or "nothing ran"


def _shapes(
    kind: str, spans: Sequence[Span], window: Window
) -> list[tuple[float, float, float, float]]:
    y, height = _Y_AND_HEIGHT.get(kind, _FULL)
    merged: list[list[float]] = []
    for span in spans:
        begin, end = _ends(span, window)
        if merged and begin <= merged[-1][1] and kind != "planned":
            merged[-1][1] = max(end, merged[-1][1])
        else:
            merged.append([begin, end])
    return [(begin, y, end - begin, height) for begin, end in merged]


def _ends(span: Span, window: Window) -> tuple[float, float]:
    begin = window.x(span.begin)
    return begin, max(window.x(span.end), begin + _NARROWEST)


def _link(span: Span, window: Window) -> Markup:
    (x, y, width, height) = _shapes(span.kind, [span], window)[0]
    shape = Markup('<path class="{}" d="M{} {}h{}v{}h{}z"><title>{}</title></path>').format(
        span.kind, number(x), number(y), number(width), number(height), number(-width), span.words
    )
    if span.execution is None:
        return shape
    return Markup('<a href="{}" tabindex="-1" aria-label="{}">{}</a>').format(
        execution_path(span.execution), span.words, shape
    )
