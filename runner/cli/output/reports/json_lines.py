"""The format for programs: one JSON object per problem and line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.cli.output.tables import json_line
from runner.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.cli.output.reports import Checked


def lines(checked: Checked) -> Iterator[str]:
    """Yield one object per problem, with the fields of `Problem`."""
    for problem in checked.problems:
        yield json_line({name: getattr(problem, name) for name in Problem.__slots__})
