"""Builds the parts that decide: what is in force, what is in progress, and the executor."""

from __future__ import annotations

import select
from contextlib import ExitStack
from dataclasses import dataclass

from runner.execution.executor import Executor
from runner.execution.local_executor import LocalExecutor
from runner.service.alerts.alerts import Alerts
from runner.service.alerts.notices import Notices
from runner.service.alerts.pings import Pings
from runner.service.assembly.exclusive_parts import Options, Records, Wakeups
from runner.service.clock_watch import ClockWatch
from runner.service.deciding.decision_maker import DecisionMaker
from runner.service.executions.dispatching.dispatcher import Dispatcher
from runner.service.executions.dispatching.results import Results
from runner.service.executions.in_progress import InProgress
from runner.service.jobs_lock import JobsLock
from runner.service.registry import Registry
from runner.service.runner_settings import Settings
from runner.service.stopping import Stopping


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


def build_core(
    settings: Settings,
    options: Options,
    records: Records,
    registry: Registry,
    wakeups: Wakeups,
    jobs_lock: JobsLock,
    resources: ExitStack,
) -> Core:
    """Build the core; `resources` closes the executor later."""
    clock, journal, in_progress = options.clock, records.journal, InProgress()
    handed = () if options.handover is None else options.handover.processes
    executor: Executor
    if records.executor is None:
        executor = LocalExecutor(clock, handed=handed)
        resources.callback(executor.close)
    else:
        executor = records.executor
    wakeups.poll.register(executor.descriptor, select.EPOLLIN)
    alerts = Alerts(registry, Notices(settings.alerts.notify), settings.alerts.notify)
    pings = Pings(settings.alerts)
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
