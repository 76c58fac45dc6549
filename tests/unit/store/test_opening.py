"""What it costs to open a store."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import sys
from pathlib import Path
from runner.access import reaching
from runner.service import loop
from runner.store.opening import mailbox_of, own_store, owner_of, read_store
from runner.store.place import StorePlace
place = StorePlace(folder=Path(sys.argv[1]))
own_store(place).close()
read_store(place).close()
mailbox_of(place).has_owner()
owner_of(place)
drivers = {"psycopg", "procrastinate"}
print(sorted(drivers & {name.partition(".")[0] for name in sys.modules}))
"""


def test_a_runner_over_sqlite_imports_no_driver_of_postgresql(tmp_path: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
