"""Builds all parts of a runner, and closes them in the reverse order.

The order matters: the store comes first, because owning it keeps a second runner away,
and what a former runner left is taken over before anything is decided.
"""

from __future__ import annotations

import os
import select
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runner import __version__
from runner.execution.executor import Executor
from runner.execution.local_executor import LocalExecutor
from runner.execution.trees.proc import boot_id
from runner.service.alerts.alerts import Alerts
from runner.service.alerts.notices import Notices
from runner.service.alerts.pings import Pings
from runner.service.assembly.exclusive_parts import (
    Options,
    Records,
    Wakeups,
    open_records,
    open_wakeups,
)
from runner.service.clock_watch import ClockWatch
from runner.service.clocks.clock_follower import ClockFollower
from runner.service.clocks.kept_zones import ZONE, zone_data_of
from runner.service.clocks.zone_change import ZoneWatch
from runner.service.deciding.decision_maker import DecisionMaker
from runner.service.deciding.mail import Mail
from runner.service.executions.dispatching.dispatcher import Dispatcher
from runner.service.executions.dispatching.results import Results
from runner.service.executions.execution import Execution, execution_of
from runner.service.executions.in_progress import InProgress
from runner.service.executions.name_lists import adopted_words
from runner.service.housekeeping import Housekeeping, StatePruning, forget_results
from runner.service.jobs_lock import JobsLock
from runner.service.moment import Moment
from runner.service.notifying.messenger import Messenger
from runner.service.notifying.sender_process import SenderProcess
from runner.service.output_pruning import OutputPruning
from runner.service.recording.journal import Journal
from runner.service.registry import Registry
from runner.service.reload.background_reader import BackgroundReader
from runner.service.reload.jobs_folder import JobsFolder
from runner.service.reload.reloader import Reloader, catalog_reader
from runner.service.runner_settings import Settings
from runner.service.stop_signals import unless_stopped
from runner.service.stopping import Stopping
from runner.service.trouble import ALIVE
from runner.store.protocol import Store
from runner.system.clock import Clock
from runner.system.regular_files import is_missing
from runner.timing.zones import use_zone_data
from runner.values import from_microseconds, to_microseconds
from runner.watching.watcher import Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What is in force, what is in progress, and the way to change both."""

    registry: Registry
    in_progress: InProgress
    alerts: Alerts
    pings: Pings
    executor: Executor
    dispatcher: Dispatcher
    stopping: Stopping
    watch: ClockWatch
    jobs_lock: JobsLock
    decisions: DecisionMaker


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
    clock_changes: ClockFollower
    housekeeping: Housekeeping
    messenger: Messenger


def assemble(settings: Settings, options: Options, resources: ExitStack) -> Parts:
    """Build all parts; `resources` closes them later.

    Raises StoreError and its kinds, and RefusedError for places that root must not trust,
    and for a jobs folder that another runner serves.
    """
    # A refused start must not create a state folder, so a new one comes after the lock.
    is_new = unless_stopped(partial(is_missing, settings.state))
    early_lock = _jobs_lock(settings, options, resources) if is_new else None
    records = open_records(settings, options, resources)
    wakeups = open_wakeups(records.store, resources)
    zones = ZoneWatch(settings, options.clock)
    reloader = _reloader(settings, options.clock, wakeups.folder_changes)
    reader = BackgroundReader(reloader, options.clock)
    resources.callback(reader.close)
    registry = Registry(options.clock)
    # The lock comes before the former runner's executions: a refusal must not touch them.
    jobs_lock = early_lock or _jobs_lock(settings, options, resources)
    executions = _load(records, registry, reloader, zones, settings.outputs)
    core = _core(settings, options, records, registry, wakeups, jobs_lock, resources)
    core.dispatcher.take_over(
        executions,
        is_same_boot=records.snapshot.meta.get("boot") == boot_id(),
        latest_noted_start=from_microseconds(records.snapshot.latest_noted_start),
    )
    _load_alerts(records, core, options.clock)
    _note_start(records.journal, options)
    mail = Mail(records.store, options.clock)
    housekeeping = _housekeeping(settings, options.clock, core, records.store)
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
        folder=_jobs_folder(settings, options, core, reader, mail, zones),
        clock_changes=_clock_changes(settings, core, records.journal, reader, zones, housekeeping),
        housekeeping=housekeeping,
        messenger=_messenger(
            settings, options.clock, core, records.journal, wakeups, zones, resources
        ),
    )


def _messenger(
    settings: Settings,
    clock: Clock,
    core: Core,
    journal: Journal,
    wakeups: Wakeups,
    zones: ZoneWatch,
    resources: ExitStack,
) -> Messenger:
    messenger = Messenger(
        settings,
        clock,
        sender=SenderProcess(wakeups.poll, clock),
        pings=core.pings,
        alerts=core.alerts,
        registry=core.registry,
        decisions=core.decisions,
        journal=journal,
        zone=lambda: zones.zone,
    )
    resources.callback(messenger.close)
    return messenger


def _clock_changes(
    settings: Settings,
    core: Core,
    journal: Journal,
    reader: BackgroundReader,
    zones: ZoneWatch,
    housekeeping: Housekeeping,
) -> ClockFollower:
    return ClockFollower(
        watch=core.watch,
        zones=zones,
        decisions=core.decisions,
        registry=core.registry,
        alerts=core.alerts,
        journal=journal,
        read_anew=lambda zone: reader.read_anew(catalog_reader(settings, zone)),
        housekeeping=housekeeping,
    )


def _housekeeping(settings: Settings, clock: Clock, core: Core, store: Store) -> Housekeeping:
    in_progress = core.in_progress
    return Housekeeping(
        OutputPruning(
            settings,
            core.registry,
            in_progress,
            store,
            partial(forget_results, core.decisions),
            clock,
        ),
        StatePruning(core.registry, in_progress, core.decisions, clock),
    )


def _jobs_folder(
    settings: Settings,
    options: Options,
    core: Core,
    reader: BackgroundReader,
    mail: Mail,
    zones: ZoneWatch,
) -> JobsFolder:
    return JobsFolder(
        settings,
        options.clock,
        reader=reader,
        registry=core.registry,
        decisions=core.decisions,
        mail=mail,
        zones=zones,
        notifier=options.notifier,
        adopted=adopted_words(core.in_progress),
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
    executor = LocalExecutor(clock)
    resources.callback(executor.close)
    wakeups.poll.register(executor.descriptor, select.EPOLLIN)
    environment_file = settings.alerts.environment_file
    alerts = Alerts(registry, Notices(settings.alerts.notify), settings.alerts.notify)
    pings = Pings(settings.alerts.ping, None if environment_file is None else str(environment_file))
    watch = ClockWatch(clock, records.snapshot.meta, released=options.released)
    results = Results(registry, journal)
    dispatcher = Dispatcher(in_progress, executor, journal, results, clock)
    stopping = Stopping(in_progress, dispatcher, clock, settings.drain)
    decisions = DecisionMaker(
        settings,
        clock,
        registry=registry,
        in_progress=in_progress,
        alerts=alerts,
        pings=pings,
        journal=journal,
        line_of=records.recorder.line,
        dispatcher=dispatcher,
        stopping=stopping,
        watch=watch,
        jobs_lock=jobs_lock,
        is_firing=options.is_firing,
    )
    return Core(
        registry=registry,
        in_progress=in_progress,
        alerts=alerts,
        pings=pings,
        executor=executor,
        dispatcher=dispatcher,
        stopping=stopping,
        watch=watch,
        jobs_lock=jobs_lock,
        decisions=decisions,
    )


def _reloader(settings: Settings, clock: Clock, folder_changes: int) -> Reloader:
    return Reloader(
        catalog_reader(settings, settings.zone),
        Watcher(settings.jobs, lambda: os.eventfd_write(folder_changes, 1)),
        clock,
        folder=settings.jobs,
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
    with records.store.row_errors_in_words():
        # Use the zone of the former runner. If the zone has changed since, that is
        # noticed later like any other change.
        zone = meta.get(ZONE, zones.zone)
        use_zone_data(zone_data_of(meta))
        registry.load(records.rows, zone=zone, meta=meta, accepted=reloader.recall())
        executions = [execution_of(row, outputs) for row in records.snapshot.executions]
    if zone == zones.zone:
        reloader.reuse(registry.requests)
    return executions


def _load_alerts(records: Records, core: Core, clock: Clock) -> None:
    with records.store.row_errors_in_words():
        core.alerts.load(records.snapshot.alerts)
        core.alerts.notices.load(records.snapshot.notifications)
    core.alerts.watch(core.in_progress, Moment(now=clock.now(), now_s=clock.elapsed_s()))


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
