"""Who leads a fleet now, as other programs see it. Reads the database and the state folder."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from runner.store.lock import owner_pid
from runner.store.postgres.connecting.address import Address
from runner.store.postgres.connecting.connection import Connection, connect, errors_in_words
from runner.store.postgres.fleet import lease
from runner.store.postgres.fleet.lease import LeaseView
from runner.store.postgres.migrating import version_of
from runner.store.state_id import state_id_of


class Leader(NamedTuple):
    """The node that leads now."""

    pid: int
    node: str
    is_here: bool
    """Whether it uses this state folder."""


def leader_of(address: Address, folder: Path) -> Leader | None:
    """Return the node that leads now; None without one. Raises StoreError.

    A leader that uses this state folder is known to have died as soon as its lock is free,
    even if its lease lasts for some more seconds.
    """
    with errors_in_words(address), closing(connect(address, what="runner leader")) as connection:
        if version_of(connection, address) == 0:
            return None
        found = lease.view(connection)
    is_here = is_own(found, folder)
    if found.is_over or found.pid is None or (is_here and owner_pid(folder) is None):
        return None
    return Leader(pid=found.pid, node=found.node or "", is_here=is_here)


def is_own(found: LeaseView, folder: Path) -> bool:
    """Return whether the node with this state folder leads, or led last."""
    own = None
    with suppress(OSError):
        own = state_id_of(folder)
    return own is not None and own == found.state_id


def in_use_words(connection: Connection, address: Address) -> str:
    """Return a sentence that says which node leads."""
    found = lease.view(connection)
    return (
        f"the store {address.words} is in use: node {found.node} leads"
        f" (process {found.pid} there); stop that one first, or let it go on"
    )
