"""Which jobs folder a state folder belongs to. Commands refuse to show or control
another folder's runner. Reads the store.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import StoreError
from runner.store.opening import read_store
from runner.store.place import StorePlace
from runner.system.regular_files import is_folder

if TYPE_CHECKING:
    from runner.access.places import Places


def meta_of(store: StorePlace) -> Mapping[str, str]:
    """Return what the last runner recorded about itself: empty without a store.

    Raises StoreError.
    """
    with closing(read_store(store)) as reader:
        return reader.meta()


def serves(meta: Mapping[str, str], jobs: Path) -> bool:
    """Return whether a store belongs to this jobs folder, under any path."""
    served = meta.get("jobs")
    if served is None or served == str(jobs.absolute()):
        return served is not None
    try:
        return os.path.samefile(served, jobs)  # noqa: PTH121 - one of them is a string
    except OSError:
        return False


def served_jobs(places: Places) -> Path | None:
    """Return the jobs folder that the store belongs to, or None without a store.

    None for a fleet, too: each node has the folder at a place of its own.
    """
    if places.store.url is not None:
        return None
    folder = meta_of(places.store).get("jobs")
    return Path(folder) if folder else None


def other_jobs(places: Places) -> str | None:
    """Return the jobs folder that the state folder belongs to, if it is not
    `places.jobs`.

    None if there is no folder at `places.jobs`: then the user means the state folder's
    own. None too if the recorded folder no longer exists: it was moved. In a fleet, each
    node has the folder at a place of its own.
    """
    if places.store.url is not None or not is_folder(places.jobs) or not places.has_store:
        return None
    meta = meta_of(places.store)
    served = meta.get("jobs", "")
    return served if is_folder(served) and not serves(meta, places.jobs) else None


def require_own(places: Places) -> None:
    """Raise StoreError if the state folder belongs to a jobs folder other than `places.jobs`."""
    if (served := other_jobs(places)) is not None:
        raise StoreError(words_of(served, places))


def has_other_log(places: Places) -> bool:
    """Return whether the monitor log belongs to a jobs folder other than `places.jobs`.

    False if the store cannot be read: commands that need the store report that
    themselves.
    """
    try:
        return other_jobs(places) is not None and is_own_log(places, meta_of(places.store))
    except StoreError:
        return False


def is_own_log(places: Places, meta: Mapping[str, str]) -> bool:
    """Return whether the monitor log is that of the store; --monitor-log may name another one.

    In a fleet, each node has a copy of the log at a place of its own.
    """
    return places.store.url is not None or meta.get("monitor_log") == str(places.monitor_log)


def require_own_log(places: Places) -> None:
    """Raise StoreError if the monitor log belongs to another jobs folder. Any other
    file is accepted.
    """
    if has_other_log(places):
        require_own(places)


def words_of(served: str, places: Places) -> str:
    """Return a sentence that says whose the state folder is and what to do about it."""
    return (
        f"{places.store_words} belongs to {served}, not to {places.jobs.absolute()}; "
        "name the right folder with --jobs or --state (RUNNER_JOBS, RUNNER_STATE), or give this "
        "jobs folder a state folder of its own with `state` in runner.yaml"
    )


def no_runner_words(places: Places) -> str:
    """Return a sentence that says that no runner owns the state folder, and what to do."""
    from runner.service.jobs_lock import holder_of

    words = f"no runner is running on {places.store.words}"
    if (holder := holder_of(places.jobs)) is not None:
        return f"{words}; {holder}: name that folder with --state or RUNNER_STATE"
    return f"{words}; `runner start` starts one"
