"""The format for people: each problem with its line and a caret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.cli.output.problems import problem_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.cli.output.reports import Checked


def lines(checked: Checked) -> Iterator[str]:
    """Yield a few lines per problem."""
    for problem in checked.problems:
        yield from problem_lines(problem)
