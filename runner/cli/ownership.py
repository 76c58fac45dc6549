"""Whose jobs folder a state folder serves: no command shows or steers what belongs to
another one. Reads the store.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import StoreError
from runner.store.database import StoreReader
from runner.system.regular_files import is_folder

if TYPE_CHECKING:
    from runner.cli.places import Places


def meta_of(state: Path) -> Mapping[str, str]:
    """Return what the last runner has noted of itself in a state folder; nothing
    without a store. Raises StoreError.
    """
    with closing(StoreReader(state)) as reader:
        return reader.meta()


def serves(meta: Mapping[str, str], jobs: Path) -> bool:
    """Tell whether the jobs folder of a store is this one, under whatever path."""
    served = meta.get("jobs")
    if served is None or served == str(jobs.absolute()):
        return served is not None
    try:
        return os.path.samefile(served, jobs)  # noqa: PTH121 - one of them is a string
    except OSError:
        return False


def other_jobs(places: Places) -> str | None:
    """Return the jobs folder that the state folder belongs to, if it is another one
    than is at hand.

    With no jobs folder at hand, the one of the state folder is meant. One that is gone was moved.
    """
    if not is_folder(places.jobs) or not is_folder(places.state):
        return None
    meta = meta_of(places.state)
    served = meta.get("jobs", "")
    return served if is_folder(served) and not serves(meta, places.jobs) else None


def require_own(places: Places) -> None:
    """Raise StoreError if the state folder belongs to another jobs folder than is at hand."""
    if (served := other_jobs(places)) is not None:
        raise StoreError(words_of(served, places))


def has_other_log(places: Places) -> bool:
    """Tell whether the monitor log is that of another jobs folder than is at hand; not
    so if the store is unreadable.

    Whoever needs the store reports why it cannot be read.
    """
    try:
        return other_jobs(places) is not None and meta_of(places.state).get("monitor_log") == str(
            places.monitor_log
        )
    except StoreError:
        return False


def require_own_log(places: Places) -> None:
    """Raise StoreError if the monitor log is that of another jobs folder. Any other
    file may be looked at.
    """
    if has_other_log(places):
        require_own(places)


def words_of(served: str, places: Places) -> str:
    """Say whose the state folder is, and what to do about it."""
    return (
        f"the state folder {places.state} belongs to {served}, not to {places.jobs.absolute()}; "
        "--jobs or --state names the one you mean, and `state` in runner.yaml gives a jobs folder its own"
    )
