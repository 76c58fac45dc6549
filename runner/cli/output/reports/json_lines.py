"""The format for programs: one JSON object per problem and line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.cli.output.tables import json_line
from runner.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.cli.output.reports import Checked


def lines(checked: Checked) -> Iterator[str]:
    """Yield one object per problem and per caution, with the fields of `Problem`."""
    for severity, found in (("error", checked.problems), ("caution", checked.cautions)):
        for each in found:
            fields = {name: getattr(each, name) for name in Problem.__slots__}
            yield json_line({**fields, "severity": severity})
