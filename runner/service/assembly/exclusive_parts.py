"""Opens what a runner owns alone: its store, its log, and what wakes it."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from loguru import logger

from runner import RELEASED
from runner.errors import StoreError
from runner.monitor.log import MonitorLog
from runner.monitor.records import Recorder
from runner.planning.states.state import retention_meta
from runner.requests.files.permissions import require_trusted
from runner.service.beside.child_command import ChildCommand
from runner.service.handover import Handover
from runner.service.recording.journal import Journal
from runner.service.runner_settings import Settings
from runner.service.stop_signals import Signals, unless_stopped
from runner.service.systemd import SILENT, Notifier
from runner.service.trouble import TroubleNote
from runner.store.opening import address_of, needing_the_extra, own_store
from runner.store.protocol import Store
from runner.store.rows import RequestRow, Snapshot
from runner.store.state_folder import require_trusted_state
from runner.system.clock import Clock
from runner.system.regular_files import is_missing
from runner.values import new_id

if TYPE_CHECKING:
    from runner.service.fleet.fleet_executor import FleetExecutor


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a runner runs, besides its settings."""

    clock: Clock
    observer: Callable[[dict[str, Any]], None]
    """Gets each durable monitor record."""
    is_firing: bool = True
    """Off for `runner exec`, which executes only what a command asks for."""
    notifier: Notifier = SILENT
    released: datetime = RELEASED
    """The earliest time that a correct clock can show."""
    handover: Handover | None = None
    """From the program that this one replaced in the same process; None at any other start."""
    children: Sequence[ChildCommand] = ()
    """Commands that the loop keeps running; who made them closes them."""
    node: str | None = None
    """The name of this node while it leads a fleet; None for a runner of its own."""
    state_lock: int | None = None
    """A descriptor by which this process holds the state folder already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """The store and the log, owned by this runner, and what the former one left.

    `snapshot` comes without its requests: the iterator `rows` yields them once, so that
    nothing keeps all of them in memory.
    """

    store: Store
    snapshot: Snapshot
    rows: Iterator[RequestRow]
    recorder: Recorder
    journal: Journal
    executor: FleetExecutor | None
    """The executor of a fleet; None if processes run on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wakeups:
    """What the loop waits for in one epoll, besides processes."""

    poll: select.epoll
    signals: Signals
    arrivals: int
    """Readable when a command was posted."""
    folder_changes: int
    """Readable when the watcher has seen a change of the jobs folder."""


def open_records(settings: Settings, options: Options, resources: ExitStack) -> Records:
    """Own the store, and bring the records of a former runner into the log."""
    unless_stopped(lambda: _require_trusted_places(settings))
    executor = _fleet_executor(settings, options, resources)
    store = own_store(settings.store, handed=_held(options), node=options.node, part=executor)
    # The journal closes store and log. Until it exists, a failure must close the store.
    with ExitStack() as until_journal:
        until_journal.callback(store.close)
        _say_what_happened(settings, store)
        snapshot = store.load()
        jobs = str(settings.jobs.absolute())
        if options.node is None:  # each node of a fleet has the folder at a place of its own
            _require_own(settings, snapshot.meta.get("jobs"), jobs)
        identity = snapshot.meta.get("runner") or new_id()
        recorder = Recorder(identity, socket.gethostname())
        journal = Journal(store, MonitorLog(settings.monitor_log), recorder, options.observer)
        journal.log.recover(snapshot.outbox, snapshot.mark)
        if executor is not None:
            executor.note_former(snapshot.meta)
        journal.note_meta(
            {"runner": identity, "jobs": jobs, "monitor_log": str(settings.monitor_log)}
            | retention_meta(settings.retention)
            | ({} if executor is None else executor.meta)
        )
        until_journal.pop_all()
    resources.callback(journal.close)
    return Records(
        store=store,
        snapshot=replace(snapshot, requests=()),
        rows=iter(snapshot.requests),
        recorder=recorder,
        journal=journal,
        executor=executor,
    )


def _held(options: Options) -> int | None:
    """Return a descriptor by which this process holds the state folder, for the store."""
    if options.state_lock is not None:
        return os.dup(options.state_lock)
    return None if options.handover is None else options.handover.folder_lock


def _fleet_executor(
    settings: Settings, options: Options, resources: ExitStack
) -> FleetExecutor | None:
    """Return the executor of a fleet; None for a store on this machine. Raises StoreError."""
    if settings.url is None:
        return None
    address = address_of(settings.store)
    with needing_the_extra():
        from runner.service.fleet.fleet_executor import FleetExecutor

    executor = FleetExecutor(
        address, options.clock, lost_after_s=settings.lost_after.total_seconds()
    )
    resources.callback(executor.close)
    return executor


def open_wakeups(store: Store, resources: ExitStack) -> Wakeups:
    poll = resources.enter_context(select.epoll())
    signals = resources.enter_context(Signals())
    arrivals, folder_changes = store.listen(), os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    resources.callback(os.close, folder_changes)
    for descriptor in (signals.descriptor, arrivals, folder_changes):
        poll.register(descriptor, select.EPOLLIN)
    return Wakeups(poll=poll, signals=signals, arrivals=arrivals, folder_changes=folder_changes)


def _say_what_happened(settings: Settings, store: Store) -> None:
    """Report what happened to the store before this start."""
    if left := TroubleNote(settings.state).take():
        logger.warning("nothing fired any more when the former runner ended: {}", left)
    if store.notice:
        logger.warning("{}", store.notice)


def _require_trusted_places(settings: Settings) -> None:
    require_trusted(settings.jobs, "the jobs folder")
    require_trusted_state(settings.state)
    require_trusted(settings.monitor_log, "the monitor log")


def _require_own(settings: Settings, former: str | None, jobs: str) -> None:
    """Refuse a state folder that belongs to another jobs folder. Raises StoreError.

    Otherwise every request of that folder would count as removed. If that folder does
    not exist any more, it was moved, and its state goes on at the new place.
    """
    if former not in (None, jobs) and unless_stopped(lambda: not is_missing(former or "")):
        raise StoreError(
            f"the state folder {settings.state} belongs to the jobs folder {former}; "
            f"give {jobs} a state folder of its own (--state)"
        )
