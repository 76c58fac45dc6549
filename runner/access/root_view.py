"""What root sees of a jobs folder with a command that only looks.

Root may look at the runner of any user. It then judges the files as that runner does:
only root's runner rejects files that another user may change. Reads the file system.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.requests.files.permissions import is_guarded
from runner.system.trust import ROOT
from runner.values import neutral

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_ROOT = 0
_MOST_SHOWN = 5


def is_roots(jobs: Path, state: Path | None) -> bool:
    """Return whether root looks at a runner of its own, present or future.

    A runner belongs to the owner of its state folder. Without a state folder of its own
    (`state` is None or missing), it belongs to the owner of its jobs folder.
    """
    if not is_guarded():
        return False
    owners = map(_owner, filter(None, (state, jobs)))
    return next((owner == _ROOT for owner in owners if owner is not None), True)


def rejected_by_root(
    folder: Path, besides: Iterable[str], is_meant: Callable[[str], bool] = lambda _: True
) -> Iterator[str]:
    """Yield a line per reason why a runner of root would reject a file of a jobs folder
    that another user may change; few of them if there are many.

    `besides` are the other files that its requests name. `is_meant` selects the files
    to report, by path; a whole folder is always reported.
    """
    from runner.requests.catalog.catalog_reader import exhausted
    from runner.requests.catalog.folder.listing import Absence, list_files
    from runner.requests.files.bounded_read import untrusted

    listing = exhausted(list_files(folder, {}, is_guarded=True))
    if isinstance(listing, Absence):
        return
    found = {
        str(folder / relative): trouble
        for relative, trouble in listing.troubles.items()
        if trouble.is_untrusted and (trouble.is_folder or is_meant(str(folder / relative)))
    }
    for path in besides:
        if objection := ROOT.objection(path):
            found[path] = untrusted(objection, is_folder=False)
    lines: dict[str, str] = {}  # a folder that all of them are in is one reason
    for path, trouble in sorted(found.items()):
        reason = f"{trouble.reason.partition(': ')[2]}; {trouble.suggestion}"
        lines.setdefault(reason, f"root's runner rejects {neutral(path)}: {reason}")
    yield from list(lines.values())[:_MOST_SHOWN]
    if (more := len(lines) - _MOST_SHOWN) > 0:
        yield f"root's runner rejects {more} more; `runner doctor` shows how to fix them all"


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:
        return None
