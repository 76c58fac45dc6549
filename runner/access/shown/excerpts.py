"""The line of a file that a problem is about, cut to a width. Reads files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING
from unicodedata import category, east_asian_width

from runner.requests.files.bounded_read import Trouble, read_bounded, signature_at
from runner.requests.files.outside_files import UNSHOWN, is_inside
from runner.requests.yaml.unreadable import lines_of
from runner.system.regular_files import Signature
from runner.values import neutral

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.errors import Problem

_TAB = 8  # columns of a tab stop
WIDEST = 120
"""The greatest width of an excerpt, in columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A line of a file, and where its problem is. No control character is left."""

    margin: str
    """The line's number, and a bar."""
    text: str
    blanks: int
    """The number of cells in `text` before the problem."""


def excerpt_of(problem: Problem) -> Excerpt | None:
    """Return the line of a problem, as `excerpt_at`; None if it must not be shown."""
    if UNSHOWN in problem.message:
        return None
    return excerpt_at(problem.file, problem.line, problem.column)


def excerpt_at(file: str, line: int, column: int, *, width: int = WIDEST) -> Excerpt | None:
    """Return a line of a file, in at most `width` columns; None if it is blank.

    None as well for a symbolic link that leads out of its folder: the file behind it may
    be confidential.
    """
    if not is_inside(file, os.path.dirname(file) or "."):  # noqa: PTH120
        return None
    lines = _lines_of(file, signature_at(file))
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    if not text.strip():
        return None
    margin = f" {line} |"
    shown, blanks = pointed(text, column, min(width, WIDEST) - len(margin) - 1)
    return Excerpt(margin=margin, text=shown, blanks=blanks)


def pointed(text: str, column: int, width: int) -> tuple[str, int]:
    """Return the part of a line that fits `width` cells, and the number of cells before
    `column`.

    A tab becomes spaces, an unprintable character its escape. A long line is cut on
    both sides of the column.

    >>> pointed("a: 日本 x", 7, 80)
    ('a: 日本 x', 8)
    >>> pointed("x" * 50 + "HERE" + "y" * 50, 51, 20)
    ('…xxxxxxxxxHEREyyyyy…', 10)
    """
    # No more than `width` characters on either side can be visible, so that is all that is
    # measured: a line may have millions.
    at = min(column - 1, len(text))
    before, behind = _pieces(text[max(0, at - width) : at]), _pieces(text[at : at + width])
    if at > width or _cells("".join(before)) > width * 3 // 4:
        before = ["…", *_fitting(before[::-1], width // 2 - 1)[::-1]]
    head = "".join(before)
    room = width - _cells(head)
    if _cells("".join(behind)) > room:
        behind = [*_fitting(behind, room - 1), "…"]
    return f"{head}{''.join(behind)}".rstrip(), _cells(head)


@lru_cache(maxsize=1)
def _lines_of(file: str, _signature: Signature | None) -> list[str]:
    """Return a file's lines. They are cached while the file is unchanged, since a file
    may have many problems.
    """
    content = read_bounded(file)
    if isinstance(content, Trouble):
        return []
    return lines_of(content[0].decode("utf-8-sig", errors="replace"))


def _pieces(text: str) -> list[str]:
    """Return each character as it is displayed."""
    pieces: list[str] = []
    cells = 0
    for character in text:
        pieces.append(" " * (_TAB - cells % _TAB) if character == "\t" else neutral(character))
        cells += _cells(pieces[-1])
    return pieces


def _fitting(pieces: Sequence[str], room: int) -> Sequence[str]:
    """Return as many leading pieces as fit into `room` cells."""
    totals = accumulate(map(_cells, pieces))
    return pieces[: sum(1 for _ in takewhile(lambda total: total <= room, totals))]


def _cells(text: str) -> int:
    """Return the number of terminal cells that a text takes."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def _cells_of(character: str) -> int:
    if category(character) in {"Mn", "Me"}:
        return 0  # a combining mark shares the cell of its base character
    return 2 if east_asian_width(character) in "WF" else 1  # UAX 11: wide, fullwidth
