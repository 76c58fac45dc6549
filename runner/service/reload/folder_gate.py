"""Keeps a new leader of a fleet from serving an old checkout. Pure.

The definitions in the store are what the former leader served. A folder of another machine
may be older, and to serve it would be a silent rollback. So it takes effect only once it
has the served commit, or the same content, or a person asks for it. From then on its
changes take effect as on any runner.
"""

from __future__ import annotations

from dataclasses import replace

from runner.planning.last_good import DIFFERS
from runner.requests.catalog.catalog import Catalog
from runner.service.reload.catalog_change import CatalogChange
from runner.service.reload.reloader import Reading


class FolderGate:
    """Decides whether a reading takes effect.

    `served` is the commit that the store's definitions come from; None if it is unknown.
    """

    def __init__(self, served: str | None, *, is_open: bool) -> None:
        self._served = served
        self._is_open = is_open

    def open(self) -> None:
        """Let every reading from now on take effect."""
        self._is_open = True

    def holds_back(self, change: CatalogChange) -> bool:
        """Return whether to keep the served requests instead of a change."""
        force, reading = change.changeover.in_force, change.reading
        if self._is_open or force.is_kept_whole:
            return False
        is_same = not change.changeover.difference and not reading.catalog.rejections
        self._is_open = is_same or (self._served is not None and reading.git_commit == self._served)
        return not self._is_open

    def kept(self, reading: Reading) -> Reading:
        """Return a reading that keeps every served request."""
        catalog = Catalog(folder=reading.catalog.folder, absence=DIFFERS)
        return replace(reading, catalog=catalog, touched=frozenset(), git_commit=self._served)
