"""Markdown as text for a terminal: wrapped paragraphs, indented code, tables that fit. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from textwrap import wrap

WIDEST = 88
"""Maximum width of a text, in columns: longer lines are hard to read."""

_DROPPED = re.compile(r"^(<!--.*-->|!\[.*\]\(.*\))\n", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_BOLD = re.compile(r"(?<!\*)\*\*([^*]+)\*\*(?!\*)")  # *** is what a secret becomes
_CELL = re.compile(r"(?<!\\)\|")
_ITEM = re.compile(r"- |\d+\. ")
_PLAIN_HEADS = ("", "means", "meaning")
"""Heads of columns whose cells explain the first one and need no label."""
_UNDERLINES = {1: "=", 2: "-"}
"""The lines below headings of these levels; other headings have none."""


def text_of(markdown: str, columns: int) -> str:
    """Return a Markdown text as lines for a terminal of that width, at most `WIDEST`.

    Links lose their targets and bold text its marks; comments and images are left out.
    """
    width = min(columns, WIDEST)
    parts = re.split(r"^```\w*\n(.*?)^```\n", _DROPPED.sub("", markdown), flags=re.M | re.S)
    lines: list[str] = []
    # The odd parts are what stands between fences.
    for index, part in enumerate(parts):
        lines += _code(part) if index % 2 else _prose(part, width)
    return "\n".join(lines).strip("\n") + "\n"


def _code(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield f"    {line}".rstrip()


def _prose(text: str, width: int) -> Iterator[str]:
    """Yield lines of a text without code; consecutive lines of one kind form a block."""
    for kind, group in groupby(_BOLD.sub(r"\1", _LINK.sub(r"\1", text)).splitlines(), key=_kind):
        lines = list(group)
        if kind == "heading":
            for line in lines:
                yield from _heading(line)
        elif kind == "table":
            yield from _table([_cells(line) for line in lines], width)
        elif kind == "blank":
            yield ""
        else:
            yield from _paragraphs(lines, width)


def _kind(line: str) -> str:
    if not line.strip():
        return "blank"
    if line.startswith("#"):
        return "heading"
    return "table" if line.startswith("|") else "text"


def _heading(line: str) -> Iterator[str]:
    marks, _, title = line.partition(" ")
    yield title
    if underline := _UNDERLINES.get(len(marks)):
        yield underline * len(title)


def _paragraphs(lines: Sequence[str], width: int) -> Iterator[str]:
    """Yield the lines of a paragraph and of list items, wrapped anew."""
    items: list[list[str]] = [[]]
    for line in lines:
        if _ITEM.match(line):
            items.append([])
        items[-1].append(line.strip())
    for item in filter(None, items):
        mark = _ITEM.match(item[0])
        indent = " " * len(mark[0]) if mark else ""
        yield from _wrapped(" ".join(item), width, indent)


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return wrap(
        text,
        width,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in _CELL.split(line)[1:-1]]


def _table(rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Yield a table in columns if it fits, otherwise one entry per row."""
    heads, _, *entries = rows
    widths = [max(map(len, column)) for column in zip(heads, *entries, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) <= width:
        for row in (heads, *entries):
            cells = (cell.ljust(room) for cell, room in zip(row, widths, strict=True))
            yield "  ".join(cells).rstrip()
        return
    for row in entries:
        yield from _entry(heads, row, width)


def _entry(heads: Sequence[str], row: Sequence[str], width: int) -> Iterator[str]:
    """Yield the first cell, and below it the others, each after the head of its column.

    A row without a first cell continues the row above.
    """
    if row[0]:
        yield from _wrapped(row[0], width)
    for head, cell in zip(heads[1:], row[1:], strict=True):
        is_plain = len(heads) == 2 or head in _PLAIN_HEADS
        if cell:
            yield from _wrapped(f"    {cell if is_plain else f'{head}: {cell}'}", width, "    ")
