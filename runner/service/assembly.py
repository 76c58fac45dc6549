"""Opens every part of a runner (store, log, epoll, FIFO, signals, watcher) and closes
them in the reverse order.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from loguru import logger

from runner.errors import StoreError
from runner.monitor.log import MonitorLog
from runner.monitor.records import Recorder
from runner.requests.catalog.reader import CatalogReader
from runner.requests.files.permissions import is_guarded, require_trusted
from runner.service.clock import Clock
from runner.service.journal import Journal
from runner.service.reload.catalog_cache import CatalogCache
from runner.service.reload.reading import Reloader
from runner.service.settings import Settings
from runner.service.signals import Signals, unless_stopped
from runner.service.trouble import TroubleNote
from runner.store.opening import own_store
from runner.store.protocol import Store
from runner.store.rows import RequestRow, Snapshot
from runner.store.state_folder import require_trusted_state
from runner.system.regular_files import is_missing
from runner.values import new_id
from runner.watching.watcher import Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """The parts of a running runner.

    `arrivals` becomes readable when a command was posted; `nudge` is the watcher's event
    descriptor. `snapshot` comes without its requests: the iterator `rows` yields them once,
    so that nothing keeps all of them in memory.
    """

    store: Store
    snapshot: Snapshot
    rows: Iterator[RequestRow]
    recorder: Recorder
    journal: Journal
    poll: select.epoll
    signals: Signals
    arrivals: int
    nudge: int
    reloader: Reloader


def assemble(
    settings: Settings,
    clock: Clock,
    observer: Callable[[dict[str, Any]], None],
    resources: ExitStack,
) -> Assembly:
    """Open all parts; `resources` closes them later.

    Raises StoreError and its kinds, and RefusedError for places that root must not trust.
    """
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
        log = MonitorLog(settings.monitor_log)
        recorder = Recorder(identity, socket.gethostname())
        journal = Journal(store, log, recorder, observer)
        journal.recover(snapshot.outbox, snapshot.mark)
        journal.note_meta(
            {"runner": identity, "jobs": jobs, "monitor_log": str(settings.monitor_log)}
        )
        until_journal.pop_all()
    resources.callback(journal.close)
    poll = resources.enter_context(select.epoll())
    signals = resources.enter_context(Signals())
    arrivals, nudge = store.listen(), os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    resources.callback(os.close, nudge)
    for descriptor in (signals.descriptor, arrivals, nudge):
        poll.register(descriptor, select.EPOLLIN)
    watcher = Watcher(settings.jobs, lambda: os.eventfd_write(nudge, 1))
    reader = catalog_reader(settings, settings.zone)
    reloader = Reloader(
        reader, watcher, clock, folder=settings.jobs, cache=CatalogCache(settings.state)
    )
    return Assembly(
        store=store,
        snapshot=replace(snapshot, requests=()),
        rows=iter(snapshot.requests),
        recorder=recorder,
        journal=journal,
        poll=poll,
        signals=signals,
        arrivals=arrivals,
        nudge=nudge,
        reloader=reloader,
    )


def catalog_reader(settings: Settings, zone: str) -> CatalogReader:
    """Return a new reader of the jobs folder.

    `zone` is the IANA key for times without an offset.
    """
    return CatalogReader(settings.jobs, default_zone=zone, is_guarded=is_guarded())


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
