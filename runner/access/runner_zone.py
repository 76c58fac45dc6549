"""The zone that commands compute in: the runner's own, whatever the caller's TZ says.
Reads the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.access.ownership import meta_of, other_jobs
from runner.errors import RuleError, StoreError, UsageError
from runner.service.clocks.kept_zones import ZONE, zone_data_of
from runner.store.opening import owner_of
from runner.system.zone_data import read_zone
from runner.timing.zones import use_zone_data, zone_named

if TYPE_CHECKING:
    from runner.access.places import Places


def zone_of_runner(places: Places) -> str | None:
    """Return the zone that the runner of these places has recorded, or None if the
    caller's own zone applies.

    The zone of a live runner always wins, and this process then uses the runner's zone
    data too. The zone of a past runner only predicts the next one's, so a zone from an
    option, the environment or the settings file takes precedence over it.
    """
    try:
        meta, is_alive = meta_of(places.store), owner_of(places.store) is not None
        is_own = other_jobs(places) is None
    except StoreError:  # the command reports it, if it needs the store
        return None
    zone = meta.get(ZONE)
    if zone is None or not is_own or (places.given_zone and not is_alive):
        return None
    if is_alive:
        use_zone_data(zone_data_of(meta))
    if not _exists(zone):
        return None
    _report_difference(zone, places, is_alive=is_alive)
    return zone


def _exists(zone: str) -> bool:
    try:
        zone_named(zone)
    except RuleError:
        return False
    return True


def _is_same(one: str, other: str) -> bool:
    """Return whether two names mean the same zone, as Etc/UTC and UTC do. The data of a
    link equals that of its target.
    """
    data = read_zone(one)
    return one == other or (data is not None and data == read_zone(other))


def _report_difference(zone: str, places: Places, *, is_alive: bool) -> None:
    try:
        own = places.own_zone
    except UsageError:
        own = "unknown"
    if _is_same(own, zone):
        return
    source = "--timezone, RUNNER_TIMEZONE or runner.yaml" if places.given_zone else "this shell"
    which = "the runner" if is_alive else "the last runner"
    places.report(f"times are in {zone}, the zone of {which}; the zone of {source} is {own}")
