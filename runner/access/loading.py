"""The state that read-only commands show: the files as they are now, and the store's
memory of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from runner.access.kept_executions import KeptExecutions
from runner.access.last_results import LastResults
from runner.access.ownership import meta_of, other_jobs, served_jobs, serves, words_of
from runner.access.places import Places
from runner.access.root_view import is_roots
from runner.access.stored import StoredStates, stored_requests
from runner.errors import RefusedError, UsageError
from runner.planning.alerts.alert import Alert
from runner.planning.changeover import Served, changeover
from runner.planning.last_good import InForce
from runner.planning.states.pauses import Pauses, pauses_in
from runner.planning.states.state import RequestState
from runner.requests.catalog.cache_file import CacheFile
from runner.requests.catalog.cached_requests import differing
from runner.requests.catalog.catalog import Catalog
from runner.requests.catalog.catalog_reader import CatalogReader
from runner.requests.catalog.unknown_names import is_rejected, words_for
from runner.requests.model import ProcessRequest
from runner.requests.settings import NO_JOBS_HINT
from runner.service.alerts.stored_alerts import open_alerts
from runner.service.clocks.kept_zones import ZONE
from runner.service.registry import Incumbents
from runner.store.opening import read_store
from runner.store.rows import Fleet, Snapshot
from runner.system.garbage_collection import collection_disabled
from runner.system.regular_files import is_folder, require_visible


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A catalog merged with a store's memory, at one moment.

    `stored` holds the requests in force according to the store. `states` and `results`
    hold their states and last results under current names: a renamed request is found
    under its new name. So does `kept`, with all results and their outputs.
    """

    catalog: Catalog
    in_force: InForce
    stored: Served
    states: Mapping[str, RequestState]
    results: LastResults
    kept: KeptExecutions
    snapshot: Snapshot
    fleet: Fleet | None
    """The nodes, if the store is a fleet's."""
    alerts: Mapping[str, Sequence[Alert]]
    """The open alerts of each request that has any."""
    now: datetime

    @property
    def pauses(self) -> Pauses:
        """The pauses according to the store."""
        return self.stored.pauses

    def request(self, name: str) -> ProcessRequest:
        """Return a request by name.

        Raises RefusedError if its file is invalid or gone. Raises UsageError, with the
        nearest name, if the name is unknown.
        """
        requests = self.in_force.requests
        if name in requests:
            return requests[name]
        words = words_for(name, requests, self.catalog.rejections)
        if is_rejected(name, self.catalog.rejections):
            raise RefusedError(words)
        if name in self.states:
            raise RefusedError(
                f"the file of {name!r} is gone; "
                f"`runner monitor --request {name}` shows its executions"
            )
        raise UsageError(words)


def load(places: Places) -> Loaded:
    """Read the jobs folder, and the store if there is one.

    Raises UsageError if there is no such folder.
    """
    if (served := other_jobs(places)) is not None:
        places.report(f"past executions are not shown: {words_of(served, places)}")
    with collection_disabled():
        snapshot, fleet = _snapshot(places)
        stored, catalog = _read(places, snapshot, is_cached=served is None)
    if catalog.missing and not stored.requests:
        require_visible(places.jobs)
        raise UsageError(f"there is no jobs folder {places.jobs}; {NO_JOBS_HINT}")
    change = changeover(stored, catalog, among=differing(stored.requests, catalog.requests))
    own_store = places.store if snapshot.meta else None
    return Loaded(
        catalog=catalog,
        in_force=change.in_force,
        stored=stored,
        states=change.states_by_new_name(stored.states),
        results=LastResults(own_store, change.renamed),
        kept=KeptExecutions(own_store, change.renamed),
        snapshot=snapshot,
        fleet=fleet,
        alerts=_alerts_by_request(snapshot),
        now=datetime.now(UTC),
    )


def _read(places: Places, snapshot: Snapshot, *, is_cached: bool) -> tuple[Served, Catalog]:
    """Return what the store remembers, and the catalog of the files as they are now."""
    reader = CatalogReader(
        _as_served(places.jobs, meta_of(places.store)),
        default_zone=places.zone,
        is_guarded=is_roots(places.jobs, places.given_state),
        cache=CacheFile(places.state) if is_cached else None,
        builds_late=True,
    )
    zone, recalled = snapshot.meta.get(ZONE, places.zone), reader.recall()
    if zone != places.zone:  # the runner has built them in another zone
        recalled = dict.fromkeys(recalled)
    supplied = stored_requests(snapshot.requests, zone=zone, recalled=recalled)
    if zone == places.zone:
        reader.reuse(supplied)
    catalog = reader.read(Incumbents(supplied))
    reader.keep()
    states, pauses = StoredStates(snapshot.requests), pauses_in(snapshot.meta)
    return Served(requests=supplied, states=states, pauses=pauses), catalog


def load_served(places: Places) -> Loaded:
    """Read the jobs folder of a command that acts: the runner's own if there is none at
    `places.jobs`. Raises UsageError as `load`.
    """
    if not is_folder(places.jobs):
        places = replace(places, jobs=served_jobs(places) or places.jobs)
    return load(places)


def _as_served(jobs: Path, meta: Mapping[str, str]) -> Path:
    """Return a jobs folder under the path by which its runner knows it.

    Stored definitions contain their folder's path, so another path to the same folder
    would make every request look changed.
    """
    return (
        Path(meta["jobs"]) if serves(meta, jobs) and meta["jobs"] != str(jobs.absolute()) else jobs
    )


def _alerts_by_request(snapshot: Snapshot) -> dict[str, list[Alert]]:
    found: dict[str, list[Alert]] = {}
    for alert in open_alerts(snapshot.alerts):
        if alert.request is not None:
            found.setdefault(alert.request, []).append(alert)
    return found


def _snapshot(places: Places) -> tuple[Snapshot, Fleet | None]:
    """Return what the store remembers of this jobs folder: nothing if it belongs to another one.

    In a fleet, return its nodes, too.
    """
    with closing(read_store(places.store)) as reader:
        snapshot, fleet = reader.snapshot(), reader.fleet()
    if serves(snapshot.meta, places.jobs):
        return snapshot, fleet
    if fleet is not None and "jobs" in snapshot.meta:
        return _relocated(snapshot, str(places.jobs.absolute())), fleet
    return replace(snapshot, requests=(), executions=(), alerts=(), meta={}), fleet


def _relocated(snapshot: Snapshot, jobs: str) -> Snapshot:
    """Return what a fleet remembers as if its leader had the jobs folder at this place."""
    from runner.service.assembly.taking_over import moved  # seldom needed

    source = snapshot.meta["jobs"]
    return replace(snapshot, requests=tuple(moved(row, source, jobs) for row in snapshot.requests))
