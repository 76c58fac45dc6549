"""The last executions of a request as a strip of bars. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from markupsafe import Markup

from runner.history.reading.query import StripBar
from runner.values import counted
from runner.web.pages.drawing.svg import FAILED, boxes, kind_of

COUNT = 30
_STEP, _BAR, _HEIGHT, _LOWEST = 5.0, 4.0, 20.0, 3.0


def strip(bars: Sequence[StripBar]) -> Markup:
    """Return executions, oldest first, as bars whose height is the duration.

    The newest is at the right edge. A failure before a later success is drawn as over.
    """
    longest = max((bar.duration_s or 0.0 for bar in bars), default=0.0)
    recovered = max((at for at, bar in enumerate(bars) if bar.status == "success"), default=-1)
    drawn = []
    for at, bar in enumerate(bars[-COUNT:]):
        kind = kind_of(bar.status)
        share = (bar.duration_s or 0.0) / longest if longest else 0.0
        height = _LOWEST + share * (_HEIGHT - _LOWEST)
        x = (COUNT - len(bars[-COUNT:]) + at) * _STEP
        is_over = kind == "bad" and at < recovered
        drawn.append(("past" if is_over else kind, (x, _HEIGHT - height, _BAR, height)))
    by_kind = groupby(sorted(drawn, key=itemgetter(0)), key=itemgetter(0))
    return Markup(
        '<svg class="strip" width="{}" height="{}" role="img" aria-label="{}">{}</svg>'
    ).format(
        round(COUNT * _STEP),
        round(_HEIGHT),
        _summary(bars),
        Markup("").join(boxes(kind, [shape for _, shape in group]) for kind, group in by_kind),
    )


def _summary(bars: Sequence[StripBar]) -> str:
    if not bars:
        return "never executed"
    failed = sum(bar.status in FAILED for bar in bars)
    return f"last {counted(len(bars), 'execution')}: {failed} failed"
