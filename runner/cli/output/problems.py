"""A problem as people read it: its place, its line with a caret, and how to fix it. Reads files."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from runner.access.shown.excerpts import WIDEST, excerpt_at
from runner.cli.output.tables import style
from runner.requests.files.outside_files import UNSHOWN

if TYPE_CHECKING:
    from runner.errors import Problem

_NARROWEST = 40


def problem_lines(problem: Problem) -> list[str]:
    """Return a problem as a few styled lines for `echo`."""
    place = style(f"{problem.file}:{problem.line}:{problem.column}:", bold=True)
    lines = [f"{place} {problem.message}"]
    if UNSHOWN not in problem.message:
        lines += excerpt(problem.file, problem.line, problem.column)
    if problem.suggestion:
        lines.append(f"    {style(problem.suggestion, fg='green')}")
    return lines


def excerpt(file: str, line: int, column: int) -> tuple[str, ...]:
    """Return a line of a file and a line with a caret below it; nothing for none."""
    terminal = shutil.get_terminal_size((WIDEST, 0)).columns
    found = excerpt_at(file, line, column, width=max(_NARROWEST, terminal))
    if found is None:
        return ()
    caret = style("^", fg="red", bold=True)
    margin = "|".rjust(len(found.margin))
    return (
        f"{_faint(found.margin)} {found.text}",
        f"{_faint(margin)} {' ' * found.blanks}{caret}",
    )


def _faint(text: str) -> str:
    return style(text, fg="blue")
