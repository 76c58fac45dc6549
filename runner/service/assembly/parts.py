"""Builds all parts of a runner, and closes them in the reverse order.

The order matters: the store comes first, because owning it keeps a second runner away,
and what a former runner left is taken over before anything is decided.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from runner.execution.kept_outputs import KeptOutputs
from runner.lifecycle import Check
from runner.planning.last_good import DIFFERS
from runner.service.alerts.own_checks import OwnChecks, unserved_words
from runner.service.assembly.core import Core, build_core
from runner.service.assembly.exclusive_parts import (
    Options,
    Records,
    Wakeups,
    open_records,
    open_wakeups,
)
from runner.service.assembly.taking_over import load, note_leading, note_start, take_over
from runner.service.clocks.clock_follower import ClockFollower
from runner.service.clocks.zone_change import ZoneWatch
from runner.service.deciding.mail import Mail
from runner.service.executions.name_lists import adopted_words
from runner.service.fleet.leader_watch import LEADER, LeaderWatch
from runner.service.housekeeping import Housekeeping, StatePruning, forget_results
from runner.service.jobs_lock import JobsLock
from runner.service.notifying.messenger import Messenger
from runner.service.notifying.sender_process import SenderProcess
from runner.service.notifying.settings_watch import SettingsWatch
from runner.service.output_pruning import OutputPruning, Prunable
from runner.service.recording.journal import Journal
from runner.service.registry import Registry
from runner.service.reload.background_reader import BackgroundReader
from runner.service.reload.folder_gate import FolderGate
from runner.service.reload.jobs_folder import JobsFolder
from runner.service.reload.reloader import Reloader, catalog_reader
from runner.service.runner_settings import Settings
from runner.service.stop_signals import unless_stopped
from runner.service.stored_outputs import StoredOutputs
from runner.store.protocol import Store
from runner.system.clock import Clock
from runner.system.regular_files import is_missing
from runner.watching.watcher import Watcher


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
    settings_watch: SettingsWatch
    own_checks: OwnChecks
    leader_watch: LeaderWatch | None
    """None outside of a fleet."""


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
    executions = load(records, registry, reloader, zones, settings)
    core = build_core(settings, options, records, registry, wakeups, jobs_lock, resources)
    take_over(executions, records, core, options.clock)
    note_start(records.journal, options)
    leader_watch = (
        None
        if options.node is None
        else note_leading(options.node, records, core, options.clock, settings.lost_after)
    )
    mail = Mail(records.store, options.clock)
    housekeeping = _housekeeping(settings, options.clock, core, records.store)
    messenger = _messenger(
        settings, options.clock, core, records.journal, wakeups, zones, resources
    )
    folder = _jobs_folder(
        settings, options, core, reader, mail, zones, _gate(options, records, registry)
    )
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
        folder=folder,
        clock_changes=_clock_changes(settings, core, records.journal, reader, zones, housekeeping),
        housekeeping=housekeeping,
        messenger=messenger,
        settings_watch=_settings_watch(settings, options.clock, core, messenger, resources),
        leader_watch=leader_watch,
        own_checks=_own_checks(settings, options.clock, core, records.journal, reader, folder),
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


def _settings_watch(
    settings: Settings, clock: Clock, core: Core, messenger: Messenger, resources: ExitStack
) -> SettingsWatch:
    watch = SettingsWatch(settings, clock, messenger=messenger, decisions=core.decisions)
    resources.callback(watch.close)
    return watch


def _own_checks(
    settings: Settings,
    clock: Clock,
    core: Core,
    journal: Journal,
    reader: BackgroundReader,
    folder: JobsFolder,
) -> OwnChecks:
    def troubles() -> dict[Check, str | None]:
        emptiness, lost = core.registry.emptiness, None
        if emptiness == DIFFERS:
            lost = f"{settings.jobs} {DIFFERS}"
        elif emptiness is not None or reader.is_silent:
            lost = f"no file of {settings.jobs} can be read"
        found = {Check.LOG: journal.log.trouble, Check.CLOCK: core.watch.doubt}
        if folder.is_registered or lost is not None:
            found[Check.RELOAD] = lost
        if (queues := core.executor.unserved) is not None:
            found[Check.QUEUE] = unserved_words(queues)
        return found

    return OwnChecks(core.alerts, troubles, settings.state, clock)


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
        in_progress=core.in_progress,
        journal=journal,
        read_anew=lambda zone: reader.read_anew(catalog_reader(settings, zone)),
        housekeeping=housekeeping,
    )


def _housekeeping(settings: Settings, clock: Clock, core: Core, store: Store) -> Housekeeping:
    in_progress = core.in_progress
    return Housekeeping(
        OutputPruning(
            Prunable(
                settings=settings,
                registry=core.registry,
                in_progress=in_progress,
                store=store,
                forget=partial(forget_results, core.decisions),
                kept=partial(KeptOutputs, settings.outputs)
                if settings.url is None
                else partial(StoredOutputs, store),
            ),
            clock,
        ),
        StatePruning(core.registry, in_progress, core.decisions, clock),
    )


def _gate(options: Options, records: Records, registry: Registry) -> FolderGate:
    meta = records.snapshot.meta
    # This node's own folder can only be newer than what it served last.
    is_own = options.node is None or meta.get(LEADER) == options.node
    is_open = is_own or not registry.requests
    return FolderGate(meta.get("git_commit") or None, is_open=is_open)


def _jobs_folder(
    settings: Settings,
    options: Options,
    core: Core,
    reader: BackgroundReader,
    mail: Mail,
    zones: ZoneWatch,
    gate: FolderGate,
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
        gate=gate,
        adopted=adopted_words(core.in_progress),
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
        is_of_fleet=options.node is not None,
        is_firing=options.is_firing,
        handed=None if options.handover is None else options.handover.jobs_lock,
    )
    resources.callback(lock.close)
    lock.take()
    return lock
