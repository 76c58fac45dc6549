"""Whether a runner that is root may use a place: other users must not change what it
runs. Asks the file system.
"""

from __future__ import annotations

import os
from pathlib import Path

from runner.errors import RefusedError
from runner.system.trust import own_trust


def is_guarded() -> bool:
    """Tell whether what another user may change is refused: where the runner is root."""
    return os.geteuid() == 0


def require_trusted(place: Path, what: str) -> None:
    """Refuse a place that another user may change, or replace, where the runner is
    root. Raises RefusedError.

    Of a jobs folder that concerns the folder and the way to it: a file in it is rejected by itself.
    """
    trust = own_trust()
    if trust and (objection := trust.objection(place)):
        raise RefusedError(
            f"root does not use {what} {place}: {objection.reason}, and could have root run anything; "
            f"{objection.suggestion}, or let the runner be another user"
        )
