"""The files of dates that `except` and `only` name. Reads them."""

from __future__ import annotations

import os.path
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.requests.dates import entries_in
from runner.requests.files.bounded_read import Trouble, read_bounded, signature_at
from runner.requests.files.outside_files import without_content
from runner.requests.findings import DataPath, Finding, shown
from runner.system.regular_files import Signature
from runner.system.trust import ROOT
from runner.values import neutral

if TYPE_CHECKING:
    from runner.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class DatesFile:
    """The result of reading the file at `path`.

    `entries` is the text of `entries_in`. `finding` is reported where a document names the
    file; `problems` are errors inside the file.
    """

    path: str
    signature: Signature | None
    entries: str | None = None
    finding: Finding | None = None
    problems: tuple[Problem, ...] = ()


def dates_file(
    named: str, at: DataPath, *, path: str, display: str, root: str, is_guarded: bool
) -> DatesFile:
    """Read the file of dates named at the data path `at` of a document.

    `path` is the document's path and `display` the form that messages show. `root` is
    the jobs folder. With `is_guarded`, a file that root must not trust is refused.
    """
    beside = os.path.join(os.path.dirname(path), named)  # noqa: PTH118, PTH120
    content = read_bounded(beside, ROOT if is_guarded else None)
    if isinstance(content, Trouble):
        message = f"the file of dates {shown(named)} cannot be used: {content.reason}"
        finding = Finding(path=at, message=message, suggestion=content.suggestion)
        return DatesFile(path=beside, signature=signature_at(beside), finding=finding)
    raw, signature = content
    entries, all_problems = entries_in(raw, _display_beside(display, named))
    problems = without_content(all_problems, beside, root)
    if not problems:
        return DatesFile(path=beside, signature=signature, entries=entries)
    message = (
        f"the file of dates {shown(named)} has {len(all_problems)} "
        f"problem{'s' if len(all_problems) > 1 else ''}"
    )
    finding = Finding(path=at, message=message)
    return DatesFile(path=beside, signature=signature, finding=finding, problems=problems)


def _display_beside(display: str, named: str) -> str:
    folder = os.path.dirname(display)  # noqa: PTH120
    return neutral(os.path.normpath(os.path.join(folder, named)))  # noqa: PTH118
