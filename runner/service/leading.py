"""A node of a fleet in the foreground: it stands by, leads, and stands by again.

All of this happens in one process, which keeps its children, such as its worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

from loguru import logger

from runner.errors import LeaseLostError, StoreInUseError, StoreUnwritableError
from runner.monitor.log import MonitorLog
from runner.service.beside.child_command import ChildCommand
from runner.service.fleet.node_link import NodeLink
from runner.service.fleet.own_node import OwnNode, own_node
from runner.service.fleet.standby import Outcome, Standby
from runner.service.handover import Handover
from runner.service.loop import Runner
from runner.service.runner_settings import Settings
from runner.service.systemd import Notifier
from runner.service.trouble import TroubleNote
from runner.store.opening import address_of
from runner.system.clock import Clock
from runner.system.inheritance import inheritable

_AGAIN_S = 1.0
"""How long a node that lost the lead leaves it to others, in seconds."""


class _StoodBy(NamedTuple):
    """How the time of a node as a standby ended."""

    outcome: Outcome
    name: str | None
    """The node's name; None if it was never registered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of a fleet."""

    settings: Settings
    clock: Clock
    notifier: Notifier
    children: Sequence[ChildCommand]
    joined: Callable[[str], None]
    """Gets the name of this node whenever it begins to stand by."""
    running: Callable[..., AbstractContextManager[Runner]]
    """Makes a runner that leads: `loop.running` without the arguments that are about a node."""
    serve: Callable[[Runner], Handover | None]
    """Runs a runner."""

    def run(self, handover: Handover | None) -> Handover | None:
        """Be a node until a signal stops it, or another program replaces this one.

        `handover` comes from the program that this one replaced. Raises RefusedError and
        StoreError for a problem that does not pass.
        """
        handed = None if handover is None else handover.folder_lock
        with own_node(self.settings.state, self.settings.monitor_log, handed=handed) as own:
            not_before_s = self.clock.elapsed_s()
            while (stood := self._stand_by(own, not_before_s)).outcome is Outcome.LEAD:
                name, runner = stood.name, None
                try:
                    with self.running(handover=handover, node=name, state_lock=own.lock) as runner:
                        return self.serve(runner)
                except StoreInUseError:  # another standby was faster, as the next look shows
                    pass
                except (LeaseLostError, StoreUnwritableError) as error:
                    logger.warning("{}", error)
                    if runner is not None and runner.is_handing_over:
                        break  # the next program stands by
                    if runner is not None and runner.is_stopping:
                        return None
                handover, not_before_s = None, self.clock.elapsed_s() + _AGAIN_S
            if stood.outcome is Outcome.STOP:
                return None
            return Handover(folder_lock=inheritable(own.lock))

    def _stand_by(self, own: OwnNode, not_before_s: float) -> _StoodBy:
        settings = self.settings
        TroubleNote(settings.state).take()  # it is about the time when this node led
        log = MonitorLog(settings.monitor_log)
        link = NodeLink(address_of(settings.store), own, log, self.clock.now)
        standby = Standby(
            link=link,
            clock=self.clock,
            children=self.children,
            joined=self.joined,
            notifier=self.notifier,
            not_before_s=not_before_s,
        )
        return _StoodBy(standby.run(), link.name)
