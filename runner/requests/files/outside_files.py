"""Files that are read for a jobs folder but lie outside it, through a link or by name.

Asks the file system. The author of a link may lack permission to read its target: a
pull request may link to /etc/shadow, and a pipeline may validate it as root. So the
problems of such a file are reported without its content.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from runner.errors import Problem
from runner.system.regular_files import real_path
from runner.values import neutral

UNSHOWN = "it lies outside the jobs folder, so its content is not shown"


def without_content(problems: Sequence[Problem], path: str, folder: str) -> tuple[Problem, ...]:
    """Return the problems of the file at `path`, read for the jobs folder `folder`.

    For a file outside the folder, one problem without detail stands for all.
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
    """Report whether a file lies in or below a folder after resolving all links."""
    return real_path(path).startswith(f"{real_path(folder).rstrip('/')}/")
