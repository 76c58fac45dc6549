"""A terminal's text, with its colours, as an SVG picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.sax.saxutils import escape

_SGR = re.compile(r"\x1b\[([\d;]*)m")
_COLOURS = {
    "31": "#ff7b72",
    "32": "#7ee787",
    "33": "#e3b341",
    "34": "#79c0ff",
    "35": "#d2a8ff",
    "36": "#76e3ea",
}
_PLAIN, _FAINT = "#e6edf3", "#8b949e"
_COLUMN, _LINE, _MARGIN, _BAR = 8.4, 19, 16, 34
"""In pixels: the width of a character, the height of a line, the margin, the title bar."""


def svg_of(text: str, *, title: str, columns: int) -> str:
    """Return a text with SGR sequences as a picture of a terminal of that many columns."""
    lines = text.rstrip("\n").split("\n")
    width = round(columns * _COLUMN) + 2 * _MARGIN
    height = len(lines) * _LINE + 2 * _MARGIN + _BAR
    shown = "\n".join(_line(number, line) for number, line in enumerate(lines))
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>{escape(title)}</title>
<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>
<circle cx="20" cy="18" r="6" fill="#ff5f56"/>
<circle cx="40" cy="18" r="6" fill="#ffbd2e"/>
<circle cx="60" cy="18" r="6" fill="#27c93f"/>
<g font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">
{shown}
</g>
</svg>
"""


def text_in(svg: str) -> str:
    """Return the text of such a picture."""
    texts = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return "\n".join("".join(text.itertext()) for text in texts)


def _line(number: int, line: str) -> str:
    top = _BAR + _MARGIN + number * _LINE + 10
    spans = "".join(
        f'<tspan fill="{colour}">{escape(part)}</tspan>' for colour, part in _parts(line) if part
    )
    length = round(len(_SGR.sub("", line)) * _COLUMN, 1)
    return (
        f'<text x="{_MARGIN}" y="{top}" textLength="{length}" xml:space="preserve">{spans}</text>'
    )


def _parts(line: str) -> Iterator[tuple[str, str]]:
    """Yield each stretch of one colour."""
    colour = _PLAIN
    first, *others = _SGR.split(line)
    yield colour, first
    for codes, part in zip(others[::2], others[1::2], strict=True):
        for code in codes.split(";"):
            colour = _FAINT if code == "2" else _COLOURS.get(code, _PLAIN)
        yield colour, part
