"""Why nothing fires at present, for commands and the page. Reads the trouble note beside
the store.
"""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from runner import RELEASED
from runner.access.ownership import is_own_log
from runner.access.places import Places
from runner.errors import StoreError
from runner.planning.words.pause_words import pause_words
from runner.service.trouble import TroubleNote
from runner.store.opening import is_store_read_only, owner_of, read_store
from runner.system.regular_files import is_folder
from runner.timing.local_times import local_text
from runner.values import counted, from_microseconds, listed

if TYPE_CHECKING:
    from runner.access.loading import Loaded

_LATE = timedelta(seconds=10)
"""A healthy runner gives a due fire its verdict within milliseconds, or within seconds
after a start. A fire that has waited longer than this shows that the runner is stuck.
"""

_ALL = 1_000_000


def why_nothing_fires(places: Places, now: datetime) -> str | None:
    """Return why the live runner does not fire, in words. None if it fires, or if no
    runner is alive.

    A runner that hangs, or cannot write its note, is recognised by a due fire without a
    verdict.
    """
    if owner_of(places.store) is None:
        return None
    if (noted := TroubleNote(places.state).read()) is not None:
        return noted
    oldest = _oldest_due(places)
    if oldest is None or not RELEASED <= oldest[0] < now - _LATE:
        return None
    at, request = oldest
    since = local_text(at, places.zone)
    cause = (
        "the state folder is on a file system that is mounted read-only"
        if is_store_read_only(places.store)
        else "`runner doctor` looks for the cause"
    )
    return f"{request} has been due since {since}, but the runner has not acted on it; {cause}"


def _oldest_due(places: Places) -> tuple[datetime, str] | None:
    """Return when the store's oldest fire without a verdict falls due, and its request.

    A pause puts this off until its end. None without such a fire.
    """
    with closing(read_store(places.store)) as reader:
        meta = reader.meta()
        found = reader.coming(_ALL if "pauses" in meta else 1, by_due=True)
    due = [(from_microseconds(each.due), each.request) for each in found]
    if "pauses" in meta:
        from runner.planning.states.pauses import pauses_in

        pauses = pauses_in(meta)
        due = [(max(at, pauses.held_by_name(name).until), name) for at, name in due]
    return min(due, default=None)


def report_trouble(places: Places, loaded: Loaded) -> None:
    """Report what makes a listing unreliable: nothing fires, or the jobs folder shows no
    files.
    """
    if (trouble := why_nothing_fires(places, loaded.now)) is not None:
        places.report(f"nothing fires: {trouble}")
    if (words := folder_trouble(places, loaded)) is not None:
        places.report(words)


def report_pauses(places: Places, loaded: Loaded) -> None:
    """Report which fires a pause holds now."""
    for pause in loaded.pauses.at(loaded.now):
        places.report(f"paused: {pause_words(pause, places.zone)}")


def report_alerts(places: Places) -> None:
    """Report how many alerts are open, and of what."""
    try:
        with closing(read_store(places.store)) as reader:
            rows = reader.alerts()
            is_own = is_own_log(places, reader.meta())
    except StoreError:
        return  # the command that shows the store reports it
    if not rows or not is_own:
        return
    from runner.service.alerts.stored_alerts import open_alerts

    if found := open_alerts(rows):
        names = listed((f"{each.request or 'the runner'} {each.check}" for each in found), 3)
        places.report(f"{counted(len(found), 'open alert')}: {names} (`runner alerts`)")


def folder_trouble(places: Places, loaded: Loaded) -> str | None:
    """Return why all requests are shown by their last good version; None if files were read."""
    force = loaded.in_force
    if not force.is_kept_whole:
        return None
    if places.fleet_log is not None and not is_folder(places.jobs):
        return f"this machine has no folder {places.jobs}; it shows the requests of the fleet"
    from runner.planning.last_good import way_back

    return (
        f"{places.jobs} {force.emptiness}; the last good versions of all requests stay in force: "
        f"{way_back(force.emptiness)}"
    )
