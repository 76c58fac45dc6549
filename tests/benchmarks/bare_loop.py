"""A program that spawns /bin/true N times with posix_spawn, waits for all, and prints
starts and ends per second.

This is the upper bound for a scheduler in one Python thread on this machine: nothing is
decided, written or captured. With a FOLDER, it also does the work that a runner must do
for each execution, still without decisions: it commits claims to SQLite before the
first start, makes a session and an output file for each process, and appends and fsyncs
two records for each.
"""

import os
import sqlite3
import sys
import time

_ROW = "x" * 600
_RECORD = b"x" * 900 + b"\n"


def main(count: int, folder: str | None) -> None:
    environment = dict(os.environ)
    begun_s = time.perf_counter()
    if folder is None:
        children = [os.posix_spawn("/bin/true", ["/bin/true"], environment) for _ in range(count)]
    else:
        _claim(count, folder)
        begun_s = time.perf_counter()  # the rate counts from the first start
        children = [_start(f"{folder}/{number}.out", environment) for number in range(count)]
    for child in children:
        os.waitpid(child, 0)
    if folder is not None:
        _record(count, folder)
    print(count / (time.perf_counter() - begun_s))


def _claim(count: int, folder: str) -> None:
    store = sqlite3.connect(f"{folder}/claims", isolation_level=None)
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("PRAGMA synchronous = FULL")
    store.execute("CREATE TABLE claims (id INTEGER PRIMARY KEY, row TEXT)")
    store.execute("BEGIN")
    store.executemany("INSERT INTO claims (row) VALUES (?)", [(_ROW,)] * count)
    store.execute("COMMIT")
    store.close()


def _start(output_file: str, environment: dict[str, str]) -> int:
    output = os.open(output_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    actions = [(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
    child = os.posix_spawn(
        "/bin/true", ["/bin/true"], environment, file_actions=actions, setsid=True
    )
    os.close(output)
    return child


def _record(count: int, folder: str) -> None:
    log = os.open(f"{folder}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(log, _RECORD * 2 * count)
    os.fsync(log)
    os.close(log)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
