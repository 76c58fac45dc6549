"""Which machine this is. Reads files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_MACHINE_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def machine_id() -> str:
    """Return the machine's id (machine-id(5)); empty where there is none, as in many containers."""
    for path in _MACHINE_FILES:
        with suppress(OSError):
            return path.read_text().strip()
    return ""
