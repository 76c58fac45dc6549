"""A standby's own connection to the fleet's store. Touches the database and the log.

With it the node registers, looks at the lease, and copies the records that its monitor log
lacks. All of it runs in one background thread, because the database may hang.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from loguru import logger

from runner import __version__
from runner.errors import RefusedError, StoreUnwritableError
from runner.execution.trees.proc import boot_id
from runner.monitor.log import MonitorLog
from runner.service.fleet.own_node import OwnNode
from runner.service.recording.log_writer import LogWriter
from runner.store.postgres.connecting.address import Address
from runner.store.postgres.connecting.connection import Connection, connect, errors_in_words
from runner.store.postgres.content import queries
from runner.store.postgres.content.changes import set_mark
from runner.store.postgres.fleet import lease, nodes
from runner.store.postgres.fleet.lease import LeaseView
from runner.store.postgres.fleet.nodes import LogEnd, StartNode
from runner.store.postgres.fleet.registry import names_for
from runner.store.postgres.migrating import migrate, version_of
from runner.store.rows import Batch, Mark, Wish
from runner.system.machine import machine_id
from runner.values import counted, new_id

T = TypeVar("T")
_BEAT_S = 3.0
_NEWS_S = 1.0
"""How long a look waits for news, in seconds."""
_COPY_S = 1.0
"""How long a look copies records, in seconds: the next heartbeat must not wait for all."""
_EXACT_S = 1.0
"""A slower answer says nothing about the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a standby has just seen."""

    lease: LeaseView
    clock_offset_s: float
    """How far the database's clock is ahead of this machine's, in seconds."""
    asked: Wish | None = None
    """What this node is to do. It is said only once."""


class NodeLink:
    """Only one thread at a time may call it."""

    def __init__(
        self, address: Address, own: OwnNode, log: MonitorLog, now: Callable[[], datetime]
    ) -> None:
        self.name: str | None = None
        """The name of this node, once it is registered."""
        self._address = address
        self._own = own
        self._writer = LogWriter(self, log)
        self._now = now
        self._instance = new_id()
        self._connection: Connection | None = None
        self._node: StartNode | None = None
        self._end: LogEnd | None = None
        """What the log has, until its recovery."""
        self._clock_offset_s = 0.0
        self._beat_at_s = 0.0

    @property
    def state_id(self) -> str:
        """The id of this node's state folder."""
        return self._own.state_id

    @property
    def log_trouble(self) -> str | None:
        """What is wrong with the monitor log; None if nothing is."""
        return self._writer.trouble

    def look(self) -> Look:
        """Wait a moment for news, then look at the lease and copy records.

        Raises StoreError, and RefusedError if no name is left for this node.
        """
        try:
            if self._connection is None:
                self._connect()
            else:
                self._do(lambda it: list(it.notifies(timeout=_NEWS_S, stop_after=1)))
            asked_s, before = time.monotonic(), self._now()
            view = self._do(lease.view)
            if (taken_s := time.monotonic() - asked_s) < _EXACT_S:
                self._clock_offset_s = view.now - before.timestamp() - taken_s / 2
            asked = self._beat()
            self._copy(view.record)
        except StoreUnwritableError:
            self._disconnect()
            raise
        return Look(lease=view, clock_offset_s=self._clock_offset_s, asked=asked)

    def records_after(self, number: int, *, about_bytes: int) -> tuple[tuple[int, bytes], ...]:
        """Return records of the fleet, for the log (see `Store`)."""
        return self._do(lambda it: queries.records_after(it, number, about_bytes=about_bytes))

    def commit(
        self, batch: Batch, *, appended: tuple[int, Mark] | None = None
    ) -> tuple[tuple[int, bytes], ...]:
        """Note what the log has (see `Store`); a standby commits nothing else."""
        assert not batch and appended is not None
        self._do(lambda it: set_mark(it, self._own.state_id, *appended))
        return ()

    def close(self) -> None:
        """Note what the log has, and end the connection."""
        try:
            if self._connection is not None and self._end is None:
                self._writer.commit_mark()
        except StoreUnwritableError:  # recovery finds the lines in the log
            pass
        self._writer.close()
        self._disconnect()

    def _do(self, action: Callable[[Connection], T]) -> T:
        if self._connection is None:
            raise StoreUnwritableError(f"the store {self._address.words} cannot be reached")
        with errors_in_words(self._address):
            return action(self._connection)

    def _connect(self) -> None:
        self._connection = connect(self._address, what="runner standby")
        self._do(self._create_tables)
        self._do(lambda it: it.execute(f"LISTEN {lease.CHANNEL}"))
        self._do(lambda it: it.execute("LISTEN runner_records"))
        self._register()

    def _create_tables(self, connection: Connection) -> None:
        if version_of(connection, self._address) == 0:
            migrate(connection, self._address, state_id=self._own.state_id)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _register(self) -> None:
        kept = self._do(lambda it: nodes.name_of(it, self._own.state_id))
        for name in names_for(self._own.state_id) if kept is None else (kept,):
            node = StartNode(
                name=name,
                machine=machine_id(),
                boot=boot_id(),
                state_id=self._own.state_id,
                instance=self._instance,
                version=__version__,
            )
            end = self._do(lambda it, node=node: nodes.register(it, node))  # type: ignore[misc]
            if end is not None:
                self._beat_at_s = time.monotonic() + _BEAT_S
                if self._node is None:
                    self._end = end
                self._node, self.name = node, name
                return
        raise RefusedError(
            f"another node of the fleet is called {kept}: this state folder is a copy of its"
            " own; give this node a new one (--state)"
            if kept
            else "all names for this node are taken by other nodes of the fleet"
        )

    def _beat(self) -> Wish | None:
        """Write a heartbeat if it is time; return what this node is asked to do."""
        assert self._node is not None, "it registers when it connects"
        if time.monotonic() < self._beat_at_s:
            return None
        node, offset_s = self._node, self._clock_offset_s
        self._beat_at_s = time.monotonic() + _BEAT_S
        answer = self._do(lambda it: nodes.beat(it, node, offset_s))
        if answer is None:
            self._register()
        elif answer.asked is not None and self._do(lambda it: nodes.accept(it, node)):
            return answer.asked
        return None

    def _copy(self, newest: int) -> None:
        if self._end is not None:
            self._report_gap(self._end.number)
            self._writer.recover(range(self._end.number + 1, newest + 1), self._end.mark)
            self._end = None
        self._writer.extend(newest)
        until_s = time.monotonic() + _COPY_S
        while self._writer.has_unwritten and time.monotonic() < until_s:
            if not self._writer.append():
                return

    def _report_gap(self, number: int) -> None:
        oldest = self._do(nodes.oldest_record)
        if number and oldest is not None and oldest > number + 1:
            lost = counted(oldest - number - 1, "record")
            logger.warning(
                "this node was away for so long that the store dropped {}: its log lacks them", lost
            )
