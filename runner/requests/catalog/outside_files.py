"""Files that are read for a jobs folder and lie outside of it, behind a link or by
their name. Asks the file system.

Who may write a link need not be who may read what it leads to: a link to /etc/shadow in
a pull request, say, which a pipeline validates as root. So what is wrong with such a
file is told without anything of its content.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from runner.errors import Problem
from runner.system.regular_files import real_path
from runner.values import neutral

UNSHOWN = "it lies outside the jobs folder, so nothing of its content is shown"


def discreet(problems: Sequence[Problem], path: str, folder: str) -> tuple[Problem, ...]:
    """Return the problems of the file at `path`, read for `folder`; one of no detail
    for all, if it lies outside.
    """
    if not problems or is_inside(path, folder):
        return tuple(problems)
    first, count = problems[0], len(problems)
    message = (
        f"there {'is 1 problem' if count == 1 else f'are {count} problems'} in this file; {UNSHOWN}"
    )
    suggestion = f"look at {neutral(shlex.quote(real_path(path)))} itself"
    return (
        Problem(
            file=first.file,
            line=first.line,
            column=first.column,
            path="",
            message=message,
            suggestion=suggestion,
        ),
    )


def is_inside(path: str, folder: str) -> bool:
    """Tell whether a file lies in or below a folder, all links followed."""
    return real_path(path).startswith(f"{real_path(folder).rstrip('/')}/")
