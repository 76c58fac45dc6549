"""What the commands that only look see: the files as they are now, beside what the store remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from runner.cli.options import Places
from runner.errors import RunnerError, UsageError
from runner.planning.last_good import InForce, in_force
from runner.planning.state import RequestState, state_from
from runner.requests.catalog import Catalog, CatalogReader, request_from_definition
from runner.requests.model import ProcessRequest
from runner.store.database import StoreReader
from runner.store.rows import RequestRow, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A catalog merged with a store's memory, at one moment."""

    catalog: Catalog
    in_force: InForce
    states: Mapping[str, RequestState]
    snapshot: Snapshot
    now: datetime

    def request(self, name: str) -> ProcessRequest:
        """Return a request by name. Raises UsageError, with the nearest name, if there is none."""
        import difflib

        if name in self.in_force.requests:
            return self.in_force.requests[name]
        near = difflib.get_close_matches(name, self.in_force.requests, n=1)
        raise UsageError(f"there is no request {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def load(places: Places) -> Loaded:
    """Read the jobs folder and look into the store, if there is one. Raises UsageError if the folder is not there."""
    snapshot = _snapshot(places)
    supplied = _supplied(snapshot.requests, places.zone)
    reader = CatalogReader(places.jobs, default_zone=places.zone)
    catalog = reader.read({name: request.source.file for name, request in supplied.items()})
    if catalog.missing and not supplied:
        raise UsageError(f"there is no jobs folder {places.jobs}; `runner init` makes one, --jobs names another")
    states = {
        row.name: state_from(row.state, generation=row.generation, fired_through=row.fired_through)
        for row in snapshot.requests
        if row.fired_through is not None
    }
    return Loaded(
        catalog=catalog,
        in_force=in_force(catalog, supplied),
        states=states,
        snapshot=snapshot,
        now=datetime.now(UTC),
    )


def _snapshot(places: Places) -> Snapshot:
    """Return what the store remembers of this jobs folder; nothing, if it belongs to another one."""
    reader = StoreReader(places.state)
    try:
        snapshot = reader.snapshot()
    finally:
        reader.close()
    is_own = snapshot.meta.get("jobs") == str(places.jobs.absolute())
    return snapshot if is_own else replace(snapshot, requests=(), executions=(), meta={})


def _supplied(rows: tuple[RequestRow, ...], zone: str) -> dict[str, ProcessRequest]:
    supplied = {}
    for row in rows:
        if row.definition is None:
            continue
        try:
            supplied[row.name] = request_from_definition(row.definition, default_zone=zone)
        except RunnerError:
            continue  # of another version of Runner; its file, if it is there, says it anew
    return supplied
