"""Which users this machine lets executions run as (`--allow-user`). Reads the user database.

Whoever may write the store decides what a worker starts. The list bounds what a stolen
database password can do on this machine.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Collection
from contextlib import suppress

from runner.requests.model import Process


def refusal(process: Process, allowed: Collection[str]) -> str | None:
    """Return why this worker must not start a process, in words; None if it may.

    Without `allowed` users, every user is. A process without `run_as` runs as the worker's
    own user, so that one must be allowed, too.
    """
    user = process.run_as.user if process.run_as else _name_of(os.geteuid())
    if not allowed or user in allowed or _name_of(user) in allowed:
        return None
    return f"this worker may not run anything as {user} (it allows {', '.join(sorted(allowed))})"


def _name_of(user: int | str) -> str:
    """Return the name of a user given by its number; any other text stays as it is."""
    with suppress(KeyError, ValueError):
        return pwd.getpwuid(int(user)).pw_name
    return str(user)
