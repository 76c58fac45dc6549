"""The lanes of the overview's timeline: which requests, and what is in them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from markupsafe import Markup

from runner.history.reading.query import Bar
from runner.planning.coming_fires import coming_fires
from runner.planning.states.pauses import Pauses
from runner.planning.views.request_view import RequestView
from runner.values import parse_instant
from runner.web.pages.drawing.svg import kind_of
from runner.web.pages.drawing.timeline import Span, Window, lane
from runner.web.pages.wording import short_duration

Record = Mapping[str, Any]
MOST = 32
"""The style hides the last 8 of them, except in a wide window."""
_DENSE = timedelta(minutes=12)
"""Fires closer than this are drawn as one band, as they would touch."""
_MOST_PLANNED = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A request and its picture."""

    name: str
    picture: Markup


def chosen(
    views: Sequence[RequestView],
    first: Collection[str],
    ended: Mapping[str, datetime],
    *,
    most: int,
) -> list[RequestView]:
    """Return the requests with a lane: those in `first`, then what ended or fires nearest to
    now. They keep the order of their names.
    """
    timed = [view for view in views if view.request is not None and view.name]
    now_first = sorted(
        timed,
        key=lambda view: (
            view.name not in first,
            -ended[view.name].timestamp() if view.name in ended else 0.0,
            view.next_fire.timestamp() if view.next_fire else float("inf"),
        ),
    )
    kept = [
        view
        for view in now_first[:most]
        if view.name in first or view.name in ended or view.next_fire is not None
    ]
    return sorted(kept, key=lambda view: (view.name not in first, view.name))


def lanes(
    views: Iterable[RequestView],
    bars: Mapping[str, Sequence[Bar]],
    running: Sequence[Record],
    pauses: Pauses,
    window: Window,
) -> Iterator[Lane]:
    """Yield the lane of each request."""
    for view in views:
        spans = [
            *map(_past, bars.get(view.name, ())),
            *(
                _running(record, window)
                for record in running
                if record["request"] == view.name and not record.get("group")
            ),
            *_planned(view, pauses, window),
        ]
        yield Lane(name=view.name, picture=lane(view.name, spans, window))


def _past(bar: Bar) -> Span:
    if bar.missed_from and bar.missed_until:
        begin, end = parse_instant(bar.missed_from), parse_instant(bar.missed_until)
        return Span(kind="missed", begin=begin, end=end, execution=bar.execution)
    begin = parse_instant(bar.started or bar.time)
    took_s = bar.duration_s if bar.started and bar.duration_s is not None else 0.0
    reason = f" ({bar.reason.replace('_', ' ')})" if bar.reason else ""
    return Span(
        kind=kind_of(bar.status),
        begin=begin,
        end=begin + timedelta(seconds=took_s),
        execution=bar.execution,
        words=f"{bar.status}{reason} after {short_duration(took_s)}",
    )


def _running(record: Record, window: Window) -> Span:
    return Span(kind="running", begin=parse_instant(record["started"]), end=window.now)


def _planned(view: RequestView, pauses: Pauses, window: Window) -> Iterator[Span]:
    if view.request is None or view.state is None or view.next_fire is None:
        return
    held = pauses.held(view.request)
    fires = coming_fires(view.request, view.state, window.now, held)
    before: datetime | None = None
    for fire in islice(fires, _MOST_PLANNED):
        if fire >= window.end:
            return
        if before is not None and fire - before < _DENSE:
            yield Span(kind="planned", begin=before, end=window.end)
            return
        yield Span(kind="planned", begin=fire, end=fire)
        before = fire
