"""One bar on a time axis: a member of a group, or a running execution's progress. Pure."""

from __future__ import annotations

from markupsafe import Markup

from runner.web.pages.drawing.svg import box, percent

_HEIGHT = 12
_NARROWEST = 0.004


def bar(kind: str, begin: float, end: float, label: str) -> Markup:
    """Return a bar from `begin` to `end`, both fractions of the whole width."""
    begin = min(max(begin, 0.0), 1 - _NARROWEST)
    width = percent(max(end - begin, _NARROWEST))
    return Markup('<svg class="track" role="img" aria-label="{}">{}{}</svg>').format(
        label,
        box("base", "0", 0, "100%", _HEIGHT),
        box(kind, percent(begin), 1, width, _HEIGHT - 2),
    )
