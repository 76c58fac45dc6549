"""A program that spawns /bin/true twice in each of N seconds at a given instant, and
prints how many seconds late each was.

The first spawn shows the lateness of sleeping and posix_spawn alone on this machine.
Before the second one, the program commits and syncs a claim in SQLite (in FOLDER), as a
runner does. No runner can be less late on this disk.
"""

import os
import sqlite3
import sys
import time


def main(count: int, folder: str) -> None:
    environment = dict(os.environ)
    store = sqlite3.connect(f"{folder}/claims", isolation_level=None)
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("PRAGMA synchronous = FULL")
    store.execute("CREATE TABLE claims (due REAL, row TEXT)")
    first_s = int(time.time()) + 1.5
    for due_s in (first_s + number for number in range(count)):
        bare_s = _spawn_at(due_s, environment, None)
        print(bare_s, _spawn_at(due_s + 0.25, environment, store))
    store.close()


def _spawn_at(due_s: float, environment: dict[str, str], store: sqlite3.Connection | None) -> float:
    """Return how many seconds after `due_s` the child existed."""
    while (left_s := due_s - time.time()) > 0:  # again if the wall clock is slower than the sleep
        time.sleep(left_s)
    if store is not None:
        store.execute("INSERT INTO claims VALUES (?, ?)", (due_s, "x" * 600))
    child = os.posix_spawn("/bin/true", ["/bin/true"], environment)
    late_s = time.time() - due_s
    os.waitpid(child, 0)
    return late_s


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
