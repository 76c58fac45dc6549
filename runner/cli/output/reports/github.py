"""The format of GitHub Actions: workflow commands, which become annotations at the
changed lines of a pull request.

Source: docs.github.com, "Workflow commands for GitHub Actions". The escapes are those
of GitHub's `command.ts` in actions/toolkit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.cli.output.reports import below_here

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.cli.output.reports import Checked
    from runner.errors import Problem

_IN_MESSAGE = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_PROPERTY = _IN_MESSAGE | str.maketrans({":": "%3A", ",": "%2C"})


def lines(checked: Checked) -> Iterator[str]:
    """Yield one command per problem and per caution."""
    yield from (_command(problem, "error") for problem in checked.problems)
    yield from (_command(caution, "warning") for caution in checked.cautions)


def _command(problem: Problem, level: str) -> str:
    properties = {
        "file": below_here(problem.file),
        "line": str(problem.line),
        "col": str(problem.column),
        "title": problem.path or "process request",
    }
    listed = ",".join(
        f"{name}={value.translate(_IN_PROPERTY)}" for name, value in properties.items()
    )
    text = f"{problem.message}\n{problem.suggestion}" if problem.suggestion else problem.message
    return f"::{level} {listed}::{text.translate(_IN_MESSAGE)}"
