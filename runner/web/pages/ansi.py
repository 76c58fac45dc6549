r"""The output of a process as HTML: colours become classes, other control codes vanish. Pure.

Terminals read ECMA-48: ESC [ parameters final. Only SGR (final `m`) is shown. Of the 256
and true colours the nearest of the 16 named ones is shown, because the page's security
policy forbids style attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from markupsafe import Markup, escape

from runner.values import neutral

_CODES = re.compile(
    r"\x1b\[(?P<sgr>[0-9;:]*)m"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # other CSI sequences
    r"|\x1b[]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS, SOS, PM, APC: up to BEL or ST
    r"|\x1b[ -/]*[0-~]?"  # other escapes, and a lone ESC
)
_NEWLINES = re.compile(r"\r\n?")
_VISIBLE = re.compile(r"[^\n\t]+")
_EXTENDED = ("38", "48")
_LEVELS = (0, 95, 135, 175, 215, 255)
_FLAGS = {"1": "bold", "2": "dim", "3": "italic", "4": "underline", "9": "struck"}
_UNSET = {
    "22": ("bold", "dim"), "23": ("italic",), "24": ("underline",), "29": ("struck",),
    "39": ("f",), "49": ("b",),
}  # fmt: skip


def ansi_html(text: str) -> Markup:
    r"""Return an output as HTML that cannot contain markup of its own.

    >>> ansi_html("\x1b[1;31mfailed\x1b[0m: <b>")
    Markup('<span class="bold f1">failed</span>: &lt;b&gt;')
    """
    pieces: list[Markup] = []
    style: dict[str, str] = {}
    at = 0
    text = _NEWLINES.sub("\n", text)
    for code in _CODES.finditer(text):
        pieces.append(_piece(text[at : code.start()], style))
        if code["sgr"] is not None:
            _apply(code["sgr"], style)
        at = code.end()
    pieces.append(_piece(text[at:], style))
    return Markup("").join(pieces)


def plain_text(text: str) -> str:
    """Return an output without its control codes."""
    return _CODES.sub("", text)


def _piece(text: str, style: dict[str, str]) -> Markup:
    if not text:
        return Markup("")
    shown = escape(_VISIBLE.sub(lambda found: neutral(found[0]), text))
    if not style:
        return shown
    return Markup('<span class="{}">{}</span>').format(" ".join(style.values()), shown)


def _apply(parameters: str, style: dict[str, str]) -> None:
    """Change a style by the parameters of one SGR sequence."""
    codes = iter(parameters.replace(":", ";").split(";"))
    for code in codes:
        value = code.lstrip("0")
        if not value:
            style.clear()
        elif value in _FLAGS:
            style[_FLAGS[value]] = _FLAGS[value]
        elif value in _UNSET:
            for name in _UNSET[value]:
                style.pop(name, None)
        elif value in _EXTENDED:
            _set(style, "f" if value == "38" else "b", _extended(codes))
        else:
            _named(value, style)


def _named(value: str, style: dict[str, str]) -> None:
    """Set one of the 16 colours: 30-37, 40-47, and bright 90-97, 100-107."""
    for first, plane, bright in ((30, "f", 0), (40, "b", 0), (90, "f", 8), (100, "b", 8)):
        if value.isdigit() and first <= int(value[:4]) < first + 8:
            _set(style, plane, int(value[:4]) - first + bright)


def _set(style: dict[str, str], plane: str, colour: int | None) -> None:
    if colour is not None:
        style[plane] = f"{plane}{colour}"


def _extended(codes: Iterator[str]) -> int | None:
    """Return the nearest named colour of `5;N` or `2;R;G;B`; None if it is malformed."""
    kind = next(codes, "")
    wanted = {"5": 1, "2": 3}.get(kind, 0)
    values = [next(codes, "") for _ in range(wanted)]
    if not wanted or not all(each.isdigit() and len(each) < 4 for each in values):
        return None
    if wanted == 3:
        red, green, blue = (int(each) for each in values)
        return _nearest(red, green, blue)
    return _of_palette(int(values[0]))


def _of_palette(index: int) -> int:
    """Return the nearest named colour of the 256: 16 named, a cube of 216, 24 greys."""
    if index < 16:
        return index
    if index >= 232:
        grey = 8 + 10 * (min(index, 255) - 232)
        return _nearest(grey, grey, grey)
    cube = index - 16
    return _nearest(_LEVELS[cube // 36], _LEVELS[cube // 6 % 6], _LEVELS[cube % 6])


def _nearest(red: int, green: int, blue: int) -> int:
    """Return the named colour with the same strong channels, bright if they are strong.

    >>> _nearest(255, 80, 80), _nearest(0, 100, 0), _nearest(128, 128, 128)
    (9, 2, 7)
    """
    strongest = max(red, green, blue)
    if strongest - min(red, green, blue) < 40:  # grey
        return (0, 8, 7, 15)[strongest // 64]
    bits = sum(bit for bit, level in ((1, red), (2, green), (4, blue)) if level > strongest * 0.6)
    return bits + (8 if strongest > 200 else 0)
