"""The file with the URL of the store, which may contain a password. Reads the file."""

from __future__ import annotations

import os
from pathlib import Path

from runner.errors import UsageError
from runner.system.regular_files import open_regular
from runner.system.trust import own_trust

_MOST_BYTES = 4096


def url_in(path: Path) -> str:
    """Return the first line of a file that only its owner can read.

    The owner is the user of this program, or root. Raises UsageError.
    """
    trust = own_trust()
    if trust is not None and (objection := trust.objection(path)):
        raise UsageError(f"root does not read {path}: {objection.reason}; {objection.way_out}")
    try:
        descriptor = open_regular(path)
        try:
            status = os.fstat(descriptor)
            content = os.read(descriptor, _MOST_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UsageError(
            f"the file with the URL of the store, {path}, cannot be read:"
            f" {error.strerror} (--store-file)"
        ) from error
    if status.st_mode & 0o077:
        raise UsageError(f"other users may read the URL of the store: chmod 600 {path}")
    if status.st_uid not in (0, os.geteuid()):
        raise UsageError(f"{path} has the URL of the store, but belongs to another user: chown it")
    url = content.decode(errors="replace").partition("\n")[0].strip()
    if not url:
        raise UsageError(f"{path} has no URL of a store in its first line")
    return url
