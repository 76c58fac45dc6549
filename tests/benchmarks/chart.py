"""Draws the table as an SVG chart: Runner's first figure relative to the figure that it
is compared with. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from benchmarks.harness import Result
from benchmarks.table import Row, figure_text

_WIDTH, _BARS_AT, _BAR_WIDTH = 900, 330, 380
_BAR_HEIGHT, _ROW_HEIGHT = 12, 46
_NOW, _BEFORE = "#2f6fab", "#a9b4bf"


def as_svg(rows: Sequence[Row]) -> str:
    """Return a chart with a pair of bars for each benchmark: now, and before if known.

    A bar's length is the ratio to the first compared figure of the same run. The longer
    bar of a pair fills the width.
    """
    drawn = [row for row in rows if row.result is not None and row.result.beside]
    parts = [_row(row, 20 + number * _ROW_HEIGHT) for number, row in enumerate(drawn)]
    height = 30 + len(drawn) * _ROW_HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{"".join(parts)}</svg>\n'
    )


def _row(row: Row, top: int) -> str:
    assert row.result is not None
    word = "higher" if row.result.ours[0].unit == "/s" else "lower"
    lines = [
        _text(10, top + 10, f"{row.name} ({row.size:,})"),
        _text(10, top + 25, f"over {row.result.beside[0].label}; {word} is better", size=10),
    ]
    pair = [("now", _NOW, _ratio(row.result))]
    if row.before is not None:
        pair.append(("before", _BEFORE, _ratio(row.before)))
    longest = max(ratio for _, _, ratio in pair)
    for number, (name, colour, ratio) in enumerate(pair):
        y, width = top + number * (_BAR_HEIGHT + 3), max(1.0, _BAR_WIDTH * ratio / longest)
        lines.append(
            f'<rect x="{_BARS_AT}" y="{y}" width="{width:.0f}" height="{_BAR_HEIGHT}" '
            f'fill="{colour}"/>\n'
        )
        label = f"{figure_text(ratio)} × {name}"
        lines.append(_text(_BARS_AT + width + 6, y + _BAR_HEIGHT - 2, label))
    return "".join(lines)


def _ratio(result: Result) -> float:
    return result.ours[0].median / result.beside[0].median


def _text(x: float, y: int, text: str, *, size: int = 12) -> str:
    return f'<text x="{x:.0f}" y="{y}" font-size="{size}">{escape(text)}</text>\n'
