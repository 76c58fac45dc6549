"""The durations of a request's executions as a chart, with p50, p95 and the expected one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from runner.web.pages.drawing.svg import execution_path, kind_of, number, percent
from runner.web.pages.wording import short_duration

_HEIGHT, _TOP, _BOTTOM = 150.0, 14.0, 146.0
_HEADROOM = 1.08
_LABEL_GAP = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One execution: how long it took and how it ended."""

    execution: str
    status: str
    duration_s: float
    words: str


def duration_chart(points: Sequence[Point], lines: Mapping[str, float]) -> Markup:
    """Return executions, oldest first, as dots; `lines` are marked durations in seconds.

    A line far above all dots is drawn at the top: it must not flatten the dots.
    """
    longest = max((point.duration_s for point in points), default=0.0)
    marked = max([longest, *(each for each in lines.values() if each <= 4 * longest)], default=0.0)
    top_s = (marked or 1.0) * _HEADROOM
    label = ", ".join(f"{name} {short_duration(seconds)}" for name, seconds in lines.items())
    return Markup(
        '<svg class="durations" width="100%" height="{}" role="group"'
        ' aria-label="Durations of {} executions: {}">{}{}</svg>'
    ).format(
        number(_HEIGHT),
        len(points),
        label or "no executions",
        _lines(lines, top_s),
        Markup("").join(
            _dot(point, (at + 0.5) / len(points), top_s) for at, point in enumerate(points)
        ),
    )


def _y(seconds: float, top_s: float) -> float:
    return _BOTTOM - min(seconds / top_s, 1.0) * (_BOTTOM - _TOP)


def _lines(lines: Mapping[str, float], top_s: float) -> Markup:
    """Return the marked durations; labels of close lines stand one above the other."""
    drawn, last = [], _HEIGHT + _LABEL_GAP
    for name, seconds in sorted(lines.items(), key=lambda line: line[1]):
        y = _y(seconds, top_s)
        last = min(y - 3, last - _LABEL_GAP)
        drawn.append(
            Markup(
                '<line class="mark {0}" x1="0" x2="100%" y1="{1}" y2="{1}"/>'
                '<text x="0" y="{2}">{0} {3}</text>'
            ).format(name, number(y), number(last), short_duration(seconds))
        )
    return Markup("").join(drawn)


def _dot(point: Point, at: float, top_s: float) -> Markup:
    words = f"{point.words}: {point.status} in {short_duration(point.duration_s)}"
    return Markup(
        '<a href="{}" tabindex="-1" aria-label="{}">'
        '<circle class="{}" cx="{}" cy="{}" r="3"><title>{}</title></circle></a>'
    ).format(
        execution_path(point.execution),
        words,
        kind_of(point.status),
        percent(at),
        number(_y(point.duration_s, top_s)),
        words,
    )
