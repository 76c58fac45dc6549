"""The zone that commands compute in: the runner's own, whatever the caller's shell says. Reads the store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from runner.cli.options import Places
from runner.cli.printing import echo
from runner.errors import RuleError, StoreError, UsageError
from runner.service.zone_change import ZONE, zone_data_of
from runner.store.database import StoreReader, owner_pid
from runner.timing.zones import use_zone_data, zone_named


def zone_of_runner(places: Places) -> str | None:
    """Return the zone that the runner of these places has recorded; None if the caller's own zone is the right one.

    A runner that is alive goes by its own zone, whatever is given here, and so does this program by its zone data
    from now on. The zone of the last runner is a guess at
    that of the next one, so a zone that is given (an option, the environment, the settings file) takes its place.
    """
    try:
        meta, is_alive = meta_of(places.state), owner_pid(places.state) is not None
    except StoreError:  # the command reports it, if it needs the store
        return None
    zone = meta.get(ZONE)
    if zone is None or not is_about(places.jobs, meta) or (places.given_zone and not is_alive):
        return None
    if is_alive:
        use_zone_data(zone_data_of(meta))
    if not _exists(zone):
        return None
    _report_difference(zone, places, is_alive=is_alive)
    return zone


def meta_of(state: Path) -> Mapping[str, str]:
    """Return what the last runner has noted of itself in a state folder. Raises StoreError."""
    with closing(StoreReader(state)) as reader:
        return reader.meta()


def is_about(jobs: Path, meta: Mapping[str, str]) -> bool:
    """Tell whether a store with this meta serves the jobs folder that is at hand; with none at hand, it does."""
    return not os.path.isdir(jobs) or serves(meta, jobs)  # noqa: PTH112 - unlike Path.is_dir it never raises


def serves(meta: Mapping[str, str], jobs: Path) -> bool:
    """Tell whether the jobs folder of a store is this one, under whatever path."""
    served = meta.get("jobs")
    if served is None or served == str(jobs.absolute()):
        return served is not None
    try:
        return os.path.samefile(served, jobs)  # noqa: PTH121 - both may be strings
    except OSError:
        return False


def _exists(zone: str) -> bool:
    try:
        zone_named(zone)
    except RuleError:
        return False
    return True


def _report_difference(zone: str, places: Places, *, is_alive: bool) -> None:
    try:
        own = places.own_zone
    except UsageError:
        own = "unknown"
    if own == zone:
        return
    source = "--timezone, RUNNER_TIMEZONE or runner.yaml" if places.given_zone else "this shell"
    which = "the runner" if is_alive else "the last runner"
    echo(f"times are in {zone}, the zone of {which}; the zone of {source} is {own}", err=True)
