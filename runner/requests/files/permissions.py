"""Whether a runner that is root may use a place: other users must not change what it runs.

Asks the file system.
"""

from __future__ import annotations

import os
from pathlib import Path

from runner.errors import RefusedError
from runner.system.trust import own_trust


def is_guarded() -> bool:
    """Report whether files that another user may change are refused: only for root."""
    return os.geteuid() == 0


def require_trusted(place: Path, what: str) -> None:
    """Refuse, as root, a place that another user may change or replace.

    For a jobs folder this checks the folder and the path to it; each file in it is
    checked by itself. Raises RefusedError.
    """
    trust = own_trust()
    if trust and (objection := trust.objection(place)):
        is_anothers = objection.owner is not None and objection.is_folder
        raise RefusedError(
            f"root does not use {what} {place}: {objection.reason}, "
            f"{'who' if is_anothers else 'and'} could make root run anything; "
            f"{objection.way_out}{'' if is_anothers else ', or let the runner be another user'}"
        )
