"""The format for people: each problem with its line and a caret, each caution on a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.cli.output.problems import problem_lines
from runner.cli.output.tables import style

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.cli.output.reports import Checked


def lines(checked: Checked) -> Iterator[str]:
    """Yield a few lines per problem, and one per caution."""
    for problem in checked.problems:
        yield from problem_lines(problem)
    for each in checked.cautions:
        place = style(f"{each.file}:{each.line}:{each.column}:", bold=True)
        yield f"{place} {style('caution', fg='yellow')}: {each.message}"
