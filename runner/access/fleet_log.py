"""The monitor log on a machine where no node of the fleet runs: the newest records of the
store, in a temporary file. Reads the store.
"""

from __future__ import annotations

import atexit
import shutil
from pathlib import Path
from tempfile import mkdtemp

from runner.store.opening import address_of, needing_the_extra
from runner.store.place import StorePlace

_MOST = 100_000
"""How many records are copied at first."""
_AT_ONCE = 4 << 20
"""About how many bytes are read with one statement."""


class FleetLog:
    """A copy of the newest records. It disappears with the process."""

    def __init__(self, store: StorePlace) -> None:
        """Raises StoreError."""
        with needing_the_extra():
            from runner.store.postgres.connection import connect
        self._address = address_of(store)
        self._connection = connect(self._address, what="runner reader")
        self._path = Path(mkdtemp(prefix="runner-log-")) / "monitor.jsonl"
        atexit.register(self._close)
        self._newest: int | None = None
        """The number of the last record in the copy."""

    def up_to_date(self) -> Path:
        """Append the records that are new, and return the path. Raises StoreError."""
        from runner.store.postgres import lease, queries
        from runner.store.postgres.connection import errors_in_words
        from runner.store.postgres.migrating import require_current, version_of

        with errors_in_words(self._address), self._path.open("ab") as file:
            if self._newest is None:
                if version_of(self._connection, self._address) == 0:
                    return self._path
                require_current(self._connection, self._address)
                self._newest = max(lease.view(self._connection).record - _MOST, 0)
            while found := queries.records_after(
                self._connection, self._newest, about_bytes=_AT_ONCE
            ):
                file.writelines(line for _, line in found)
                self._newest = found[-1][0]
        return self._path

    def _close(self) -> None:
        self._connection.close()
        shutil.rmtree(self._path.parent, ignore_errors=True)
