"""A node of a fleet in the foreground: it stands by, leads, and stands by again.

All of this happens in one process, which keeps its children, such as its worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from loguru import logger

from runner.errors import LeaseLostError, StoreInUseError, StoreUnwritableError
from runner.monitor.log import MonitorLog
from runner.service.child_command import ChildCommand
from runner.service.fleet.node_link import NodeLink
from runner.service.fleet.own_node import OwnNode, own_node
from runner.service.fleet.standby import Standby
from runner.service.handover import Handover
from runner.service.loop import Runner, running
from runner.service.runner_settings import Settings
from runner.service.systemd import Notifier
from runner.service.trouble import TroubleNote
from runner.store.opening import address_of
from runner.system.clock import Clock

_AGAIN_S = 1.0
"""How long a node that lost the lead leaves it to others, in seconds."""


def serve_in_fleet(
    settings: Settings,
    clock: Clock,
    *,
    observer: Callable[[dict[str, Any]], None],
    notifier: Notifier,
    handover: Handover | None,
    children: Sequence[ChildCommand],
    joined: Callable[[str], None],
    leads: Callable[[Runner], None],
) -> Handover | None:
    """Be a node of a fleet until a signal stops it, or another program replaces this one.

    `joined` gets the name of this node whenever it begins to stand by, and `leads` the runner
    whenever it begins to lead. The other arguments are those of `running`. Raises
    RefusedError and StoreError for a problem that does not pass.
    """
    handed = None if handover is None else handover.store_lock
    with own_node(settings.state, settings.monitor_log, handed=handed) as own:
        not_before_s = clock.elapsed_s()
        while True:
            TroubleNote(settings.state).take()  # it is about the time when this node led
            link = _link(settings, own, clock)
            standby = Standby(
                link=link,
                clock=clock,
                children=children,
                joined=joined,
                notifier=notifier,
                not_before_s=not_before_s,
            )
            if not standby.run():
                return None
            runner = None
            try:
                with running(
                    settings,
                    clock,
                    observer=observer,
                    notifier=notifier,
                    handover=handover,
                    children=children,
                    node=link.name,
                    state_lock=own.lock,
                ) as runner:
                    leads(runner)
                    return runner.run()
            except StoreInUseError:  # another standby was faster, as the next look shows
                pass
            except (LeaseLostError, StoreUnwritableError) as error:
                logger.warning("{}", error)
                if runner is not None and runner.is_stopping:
                    return None
            handover, not_before_s = None, clock.elapsed_s() + _AGAIN_S


def _link(settings: Settings, own: OwnNode, clock: Clock) -> NodeLink:
    return NodeLink(address_of(settings.store), own, MonitorLog(settings.monitor_log), clock.now)
