"""Takes over what a former runner left in the store."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from runner import __version__
from runner.execution.trees.proc import boot_id
from runner.monitor.events import runner_leading
from runner.requests.building.relocation import relocated_definition
from runner.service.alerts.alerts import shifts_in
from runner.service.assembly.core import Core
from runner.service.assembly.exclusive_parts import Options, Records
from runner.service.clocks.kept_zones import ZONE, zone_data_of
from runner.service.clocks.zone_change import ZoneWatch
from runner.service.executions.execution import Execution, execution_of
from runner.service.fleet.leader_watch import LEADER, FleetStore, LeaderWatch
from runner.service.fleet.worker_watch import WorkerWatch
from runner.service.recording.journal import Journal
from runner.service.registry import Registry
from runner.service.reload.reloader import Reloader
from runner.service.runner_settings import Settings
from runner.service.situation import Situation
from runner.service.trouble import ALIVE
from runner.store.rows import RequestRow
from runner.system.clock import Clock
from runner.timing.zones import use_zone_data
from runner.values import from_microseconds, to_microseconds


def load(
    records: Records, registry: Registry, reloader: Reloader, zones: ZoneWatch, settings: Settings
) -> list[Execution]:
    """Load the requests and their states; return the executions, for `take_over`."""
    jobs, outputs = str(settings.jobs.absolute()), settings.outputs
    meta, rows = records.snapshot.meta, records.rows
    if meta.get("jobs") not in (None, jobs):  # a fleet's former leader had it elsewhere
        rows = (moved(row, meta["jobs"], jobs) for row in rows)
    with records.store.row_errors_in_words():
        # Use the zone of the former runner. If the zone has changed since, that is
        # noticed later like any other change.
        zone = meta.get(ZONE, zones.zone)
        use_zone_data(zone_data_of(meta))
        registry.load(rows, zone=zone, meta=meta, accepted=reloader.recall())
        shifts = shifts_in(meta)
        executions = [
            replace(execution_of(row, outputs), clock_shift=shifts.get(row.id, timedelta()))
            for row in records.snapshot.executions
        ]
    if zone == zones.zone:
        reloader.reuse(registry.requests)
    return executions


def moved(row: RequestRow, source: str, target: str) -> RequestRow:
    """Return a request as if it had been read in the folder `target`."""
    if row.definition is None:
        return row
    with suppress(ValueError, KeyError, TypeError):  # one of a former version stays as it is
        return row._replace(definition=relocated_definition(row.definition, source, target))
    return row


def take_over(executions: Iterable[Execution], records: Records, core: Core, clock: Clock) -> None:
    """Take over the executions, then the alerts about them."""
    core.dispatcher.take_over(
        executions,
        is_same_boot=records.snapshot.meta.get("boot") == boot_id(),
        latest_noted_start=from_microseconds(records.snapshot.latest_noted_start),
    )
    with records.store.row_errors_in_words():
        core.alerts.load(records.snapshot.alerts)
        core.alerts.take_shifts(shifts_in(records.snapshot.meta))
        core.alerts.notices.load(records.snapshot.notifications)
    core.alerts.watch(core.in_progress, Situation(now=clock.now(), now_s=clock.elapsed_s()))


def note_start(journal: Journal, options: Options) -> None:
    """Note in the store which runner owns it from now on."""
    pid = str(os.getpid())
    journal.note_meta(
        {
            "boot": boot_id(),
            "pid": pid,
            "version": __version__,
            "started": str(to_microseconds(options.clock.now())),
            "stopping": "",
            **({ALIVE: pid} if options.is_firing else {}),
            **({LEADER: options.node} if options.node is not None else {}),
        }
    )


def note_leading(
    node: str, records: Records, core: Core, clock: Clock, lost_after: timedelta
) -> LeaderWatch:
    """Record that this node leads; return its watch over the others."""
    store, meta = records.store, records.snapshot.meta
    assert isinstance(store, FleetStore), "only a fleet has nodes"
    leading = runner_leading(
        core.decisions.about(),
        node=node,
        former_node=meta.get(LEADER),
        epoch=store.epoch,
        message=None,
    )
    records.journal.record(leading, clock.now())
    workers = WorkerWatch(core.decisions, clock, lost_after=lost_after, meta=meta)
    return LeaderWatch(node, store, core.decisions, clock, workers=workers, meta=meta)
