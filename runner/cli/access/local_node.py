"""The node of a fleet that has this machine's state folder, while it does not lead: a standby,
or a worker alone. A command asks it through the database to stop or to restart.

Touches the database and the locks of the state folder.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from runner.access.places import Places
from runner.errors import NoRunnerError
from runner.store.lock import owner_pid
from runner.store.opening import address_of, needing_the_extra, owner_of
from runner.store.rows import Wish
from runner.store.state_id import state_id_of

_PATIENCE_S = 60.0
_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNode:
    """A standby or a worker of this machine."""

    pid: int
    folder: Path
    """The folder whose lock it holds."""
    kind: str
    """As in `NodeRow`."""
    state_id: str

    @property
    def is_worker(self) -> bool:
        """Whether it only runs executions."""
        return self.kind == "work"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What became of the request to a node."""

    name: str
    running: int
    """How many executions a worker had."""
    version: str | None = None
    """The version that runs now; None if the node has ended."""


def local_node(places: Places) -> LocalNode | None:
    """Return the node of this state folder, unless it leads. Raises StoreError."""
    if not places.is_in_fleet:
        return None
    leader = owner_of(places.store)
    if leader is not None and leader.node is None:
        return None
    with needing_the_extra():
        from runner.worker.notes import state_id_in
        from runner.worker.settings import worker_folder

    folder = worker_folder(places.state)
    for kind, place, read in (
        ("start", places.state, state_id_of),
        ("work", folder, state_id_in),
    ):
        if (pid := owner_pid(place)) is not None and (state_id := read(place)) is not None:
            return LocalNode(pid=pid, folder=place, kind=kind, state_id=state_id)
    return None


def ask(node: LocalNode, wish: Wish, places: Places) -> Asked:
    """Ask a node to stop or to restart, and wait until it has done so.

    Raises NoRunnerError if the node does not answer, and StoreError.
    """
    from runner.store.postgres.connecting.connection import connect, errors_in_words
    from runner.store.postgres.fleet import asking

    address = address_of(places.store)
    with closing(connect(address, what="runner command")) as connection, errors_in_words(address):
        found = asking.ask(connection, wish, kind=node.kind, state_id=node.state_id)
        if found is None:
            raise NoRunnerError(f"process {node.pid} is still starting; try again")
        asked = Asked(name=found.name, running=found.running)
        until_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until_s:
            version = asking.version_since(connection, found, state_id=node.state_id)
            if wish is Wish.RESTART and version is not None:
                return Asked(name=found.name, running=found.running, version=version)
            if wish is Wish.STOP and owner_pid(node.folder) != node.pid:
                return asked
            if not Path(f"/proc/{node.pid}").exists():  # a worker gives up its lock meanwhile
                raise NoRunnerError(f"{found.name} has ended; its console says why")
            time.sleep(_LOOK_EVERY_S)
        if asking.withdraw(connection, found):
            raise NoRunnerError(f"{found.name} did not answer, so nothing was done; try again")
    raise NoRunnerError(f"{found.name} still works on it; its console says more")
