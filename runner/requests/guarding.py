"""Who else could have us run something: a jobs folder is as powerful as its runner's user. Reads folders."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from runner.errors import RefusedError
from runner.requests.catalog import exhausted
from runner.requests.files import listed
from runner.values import neutral


def is_guarded() -> bool:
    """Tell whether what anybody may write is refused: where the runner is root."""
    return os.geteuid() == 0


def require_guarded(jobs: Path) -> None:
    """Refuse to serve a jobs folder that anybody may write, or a file or folder in it. Raises RefusedError."""
    listing = exhausted(listed(jobs, {}, is_guarded=True)) if is_guarded() else None
    found = sorted(relative for relative, trouble in listing.troubles.items() if trouble.is_open) if listing else []
    if not found:
        return
    first = neutral(str(jobs / found[0]))
    others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise RefusedError(
        f"anybody may write {first}{others}, and could have this runner, which is root, run anything: "
        f"chmod -R o-w {shlex.quote(neutral(str(jobs)))}, or let the runner be another user"
    )
