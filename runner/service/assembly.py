"""Builds all parts of a runner, and closes them in the reverse order.

The order matters: the store comes first, because owning it keeps a second runner away,
and what a former runner left is taken over before anything is decided.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from loguru import logger

from runner import RELEASED, __version__
from runner.errors import StoreError
from runner.execution.processes import Processes
from runner.execution.trees.proc import boot_id
from runner.monitor.log import MonitorLog
from runner.monitor.records import Recorder
from runner.requests.files.permissions import require_trusted
from runner.service.clock import Clock
from runner.service.clock_changes import ClockChanges
from runner.service.clocks.clock_watch import ClockWatch
from runner.service.clocks.zone_change import ZONE, ZoneWatch, zone_data_of
from runner.service.decisions import Decisions
from runner.service.executions.dispatch import Dispatcher
from runner.service.executions.execution import Execution, execution_of
from runner.service.executions.in_progress import InProgress
from runner.service.executions.names import adopted_words
from runner.service.executions.results import Results
from runner.service.housekeeping import OutputPruning, StatePruning
from runner.service.jobs_lock import JobsLock
from runner.service.journal import Journal
from runner.service.mail import Mail
from runner.service.registry import Registry
from runner.service.reload.background_reader import BackgroundReader
from runner.service.reload.catalog_cache import CatalogCache
from runner.service.reload.jobs_folder import JobsFolder
from runner.service.reload.reading import Reloader, catalog_reader
from runner.service.settings import Settings
from runner.service.signals import Signals, unless_stopped
from runner.service.stopping import Stopping
from runner.service.systemd import SILENT, Notifier
from runner.service.trouble import ALIVE, TroubleNote
from runner.store.opening import own_store
from runner.store.protocol import Store
from runner.store.rows import RequestRow, Snapshot
from runner.store.state_folder import require_trusted_state
from runner.system.regular_files import is_missing
from runner.timing.zones import use_zone_data
from runner.values import new_id, to_microseconds
from runner.watching.watcher import Watcher


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Wakeups:
    """What the loop waits for in one epoll, besides processes."""

    poll: select.epoll
    signals: Signals
    arrivals: int
    """Readable when a command was posted."""
    nudge: int
    """The event descriptor of the watcher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What is in force, what is in progress, and the way to change both."""

    registry: Registry
    in_progress: InProgress
    processes: Processes
    dispatcher: Dispatcher
    stopping: Stopping
    watch: ClockWatch
    jobs_lock: JobsLock
    decisions: Decisions


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of a running runner."""

    settings: Settings
    options: Options
    store: Store
    journal: Journal
    wakeups: Wakeups
    core: Core
    zones: ZoneWatch
    reloader: Reloader
    reader: BackgroundReader
    mail: Mail
    folder: JobsFolder
    clock_changes: ClockChanges
    output_pruning: OutputPruning
    state_pruning: StatePruning


def assemble(settings: Settings, options: Options, resources: ExitStack) -> Parts:
    """Build all parts; `resources` closes them later.

    Raises StoreError and its kinds, and RefusedError for places that root must not trust,
    and for a jobs folder that another runner serves.
    """
    clock = options.clock
    records = _records(settings, options, resources)
    wakeups = _wakeups(records.store, resources)
    zones = ZoneWatch(settings, clock)
    reloader = _reloader(settings, clock, wakeups.nudge)
    reader = BackgroundReader(reloader, clock)
    resources.callback(reader.close)
    registry = Registry(clock)
    # The lock comes before the former runner's executions: a refusal must not touch them.
    jobs_lock = _jobs_lock(settings, options, resources)
    executions = _load(records, registry, reloader, zones, settings.outputs)
    core = _core(settings, options, records, registry, wakeups, jobs_lock, resources)
    decisions, in_progress = core.decisions, core.in_progress
    is_same_boot = records.snapshot.meta.get("boot") == boot_id()
    core.dispatcher.take_over(executions, is_same_boot=is_same_boot)
    _note_start(records.journal, options)
    mail = Mail(records.store, clock)
    output_pruning = OutputPruning(settings.outputs, settings.retention, in_progress, clock)
    state_pruning = StatePruning(registry, in_progress, decisions, clock)
    return Parts(
        settings=settings,
        options=options,
        store=records.store,
        journal=records.journal,
        wakeups=wakeups,
        core=core,
        zones=zones,
        reloader=reloader,
        reader=reader,
        mail=mail,
        folder=JobsFolder(
            settings,
            clock,
            reader=reader,
            registry=registry,
            decisions=decisions,
            mail=mail,
            zones=zones,
            notifier=options.notifier,
            adopted=adopted_words(in_progress),
        ),
        clock_changes=ClockChanges(
            settings,
            watch=core.watch,
            zones=zones,
            decisions=decisions,
            registry=registry,
            journal=records.journal,
            reader=reader,
            output_pruning=output_pruning,
            state_pruning=state_pruning,
        ),
        output_pruning=output_pruning,
        state_pruning=state_pruning,
    )


def _core(
    settings: Settings,
    options: Options,
    records: Records,
    registry: Registry,
    wakeups: Wakeups,
    jobs_lock: JobsLock,
    resources: ExitStack,
) -> Core:
    clock, journal, in_progress = options.clock, records.journal, InProgress()
    processes = Processes(wakeups.poll)
    resources.callback(processes.close)
    watch = ClockWatch(clock, records.snapshot.meta, released=options.released)
    stored = None if options.is_firing else registry.requests
    results = Results(registry, journal, stored=stored)
    dispatcher = Dispatcher(in_progress, processes, journal, results, clock)
    stopping = Stopping(in_progress, dispatcher, clock, settings.drain)
    decisions = Decisions(
        settings,
        clock,
        registry=registry,
        in_progress=in_progress,
        journal=journal,
        line=records.recorder.line,
        dispatcher=dispatcher,
        stopping=stopping,
        watch=watch,
        jobs_lock=jobs_lock,
        is_firing=options.is_firing,
    )
    return Core(
        registry=registry,
        in_progress=in_progress,
        processes=processes,
        dispatcher=dispatcher,
        stopping=stopping,
        watch=watch,
        jobs_lock=jobs_lock,
        decisions=decisions,
    )


def _records(settings: Settings, options: Options, resources: ExitStack) -> Records:
    """Own the store, and bring the records of a former runner into the log."""
    unless_stopped(lambda: _require_trusted_places(settings))
    store = own_store(settings.state)
    # The journal closes store and log. Until it exists, a failure must close the store.
    with ExitStack() as until_journal:
        until_journal.callback(store.close)
        _say_what_happened(settings, store)
        snapshot = store.load()
        jobs = str(settings.jobs.absolute())
        _require_own(settings, snapshot.meta.get("jobs"), jobs)
        identity = snapshot.meta.get("runner") or new_id()
        recorder = Recorder(identity, socket.gethostname())
        journal = Journal(store, MonitorLog(settings.monitor_log), recorder, options.observer)
        journal.recover(snapshot.outbox, snapshot.mark)
        journal.note_meta(
            {"runner": identity, "jobs": jobs, "monitor_log": str(settings.monitor_log)}
        )
        until_journal.pop_all()
    resources.callback(journal.close)
    return Records(
        store=store,
        snapshot=replace(snapshot, requests=()),
        rows=iter(snapshot.requests),
        recorder=recorder,
        journal=journal,
    )


def _wakeups(store: Store, resources: ExitStack) -> Wakeups:
    poll = resources.enter_context(select.epoll())
    signals = resources.enter_context(Signals())
    arrivals, nudge = store.listen(), os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    resources.callback(os.close, nudge)
    for descriptor in (signals.descriptor, arrivals, nudge):
        poll.register(descriptor, select.EPOLLIN)
    return Wakeups(poll=poll, signals=signals, arrivals=arrivals, nudge=nudge)


def _reloader(settings: Settings, clock: Clock, nudge: int) -> Reloader:
    return Reloader(
        catalog_reader(settings, settings.zone),
        Watcher(settings.jobs, lambda: os.eventfd_write(nudge, 1)),
        clock,
        folder=settings.jobs,
        cache=CatalogCache(settings.state),
    )


def _jobs_lock(settings: Settings, options: Options, resources: ExitStack) -> JobsLock:
    lock = JobsLock(
        settings.jobs,
        options.clock,
        is_shared=settings.allow_shared_jobs,
        is_firing=options.is_firing,
    )
    resources.callback(lock.close)
    lock.take()
    return lock


def _load(
    records: Records, registry: Registry, reloader: Reloader, zones: ZoneWatch, outputs: Path
) -> list[Execution]:
    """Load what a former runner left: requests and states, and return the executions."""
    meta = records.snapshot.meta
    with records.store.legible():
        # Use the zone of the former runner. If the zone has changed since, that is
        # noticed later like any other change.
        zone = meta.get(ZONE, zones.zone)
        use_zone_data(zone_data_of(meta))
        registry.load(records.rows, zone=zone, accepted=reloader.accepted)
        executions = [execution_of(row, outputs) for row in records.snapshot.executions]
    if zone == zones.zone:
        reloader.recall(registry.requests)
    return executions


def _note_start(journal: Journal, options: Options) -> None:
    pid = str(os.getpid())
    journal.note_meta(
        {
            "boot": boot_id(),
            "pid": pid,
            "version": __version__,
            "started": str(to_microseconds(options.clock.now())),
            "stopping": "",
            **({ALIVE: pid} if options.is_firing else {}),
        }
    )


def _say_what_happened(settings: Settings, store: Store) -> None:
    """Report what happened to the store before this start."""
    if left := TroubleNote(settings.state).take():
        logger.warning("the former runner ended while nothing fired: {}", left)
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
