"""Which worker this is: its name, its machine, its boot and its state folder. Reads files.

The same identity restarted may adopt the processes that it left. A worker under the same
name whose identity differs never does: it cannot know what still runs.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner.execution.trees.proc import boot_id

_MACHINE_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The identity of a worker."""

    name: str
    """What people call the worker; unique among the workers of a store."""
    machine: str
    """The machine id (machine-id(5)); empty where there is none, as in many containers."""
    boot: str
    """The id of the machine's boot: after a reboot no process is left."""
    state_id: str
    """The random id of the state folder, made when the folder was first used."""


def own_identity(name: str | None, state_id: str) -> Identity:
    """Return this worker's identity; its default name is the host's."""
    return Identity(
        name=name or socket.gethostname(),
        machine=_machine_id(),
        boot=boot_id(),
        state_id=state_id,
    )


def _machine_id() -> str:
    for path in _MACHINE_FILES:
        with suppress(OSError):
            return path.read_text().strip()
    return ""
